"""Getting a server's environment ready for a start, and settling it after the end."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Final

from atoll import oci
from atoll.checkpoints import policy, rebase_store, store, views
from atoll.checkpoints.asked import adopt, new_checkpoint
from atoll.checkpoints.base import LABEL, PYTHON_LABEL, VERSION_LABEL
from atoll.checkpoints.directory import EnvironmentDirectory
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import BASE, LAST, ServerStatus, Trigger
from atoll.checkpoints.placed import Placed
from atoll.checkpoints.saving import BUSY_S, TOLD_EVERY_S, saved_until, settled
from atoll.checkpoints.store import CheckpointRow, ServerRow
from atoll.checkpoints.window import window_of
from atoll.kit import words
from atoll.kit.errors import FullError, UnavailableError
from atoll.kit.processes import end_marked, marked

_ENDING_S: Final = 0.5  # how often a stopped server's processes are looked at
_OTHER_BASE: Final = (
    "It was saved over another version of the platform's own packages;"
    " if something does not import any more, install it again."
)
_OTHER_PYTHON: Final = "Its packages are for Python {0}, and the platform has {1}, which does not find them: rebase it."


class Preparing:
    """The steps that need the directory. Block: call them from a thread."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._placed = Placed(ground)

    def prepare(self, row: ServerRow) -> float | None:
        """PREPARING → PREPARED, or → UNSAVED where the directory holds something unsaved.

        Raises AtollError where nothing could be prepared; the message says so to the waiting.
        """
        if row.contained:
            self._placed.prepare(row)
            return None
        directory = self._ground.directory(row)
        with directory.lock() as mine:
            if not mine:
                return BUSY_S
            with self._ground.database.read() as session:
                now = session.get_one(ServerRow, row.id)
            if now.status == ServerStatus.PREPARING:  # else another service was quicker
                self._make_ready(now, directory)
        return None

    def _make_ready(self, row: ServerRow, directory: EnvironmentDirectory) -> None:
        wanted = self._wanted(row)
        continuing = row.choice == LAST and row.continues_from is None
        if directory.whole():
            at = directory.digest()
            if at == wanted and (continuing or not self._unsaved(directory)):
                self._go_on(row, directory, wanted)
                return
            # elsewhere and saved: left so by a start that was given up
            if continuing and (at is None or self._unsaved(directory)):
                known = at if not self._ground.unwritten(at) else None
                self._go_on(row, directory, known or wanted)
                return
            if self._unsaved(directory):
                self._save_first(row)
                return
        digest, fallback = self._restored(row, directory, wanted)
        self._prepared(row, directory, digest, fallback)

    def settle(self, row: ServerRow) -> float | None:
        """UNSAVED → SAVING where something changed, → SAVED where nothing did."""
        if row.contained:
            return self._placed.settle(row)
        if row.running_id is not None and (wait := self._ended(row)):
            return wait
        directory = self._ground.directory(row)
        with directory.lock() as mine:
            if not mine:
                return BUSY_S
            unsaved = directory.whole() and self._unsaved(directory)
            with self._ground.database.write() as session:
                row = session.get_one(ServerRow, row.id)
                if row.status != ServerStatus.UNSAVED:
                    return None
                waiting = [
                    one
                    for one in store.working_checkpoints(session, row.id)
                    if one.trigger == Trigger.STOP
                ]
                if not unsaved and not waiting:
                    adopt(session, session.get(CheckpointRow, row.current or ""), Trigger.STOP)
                    settled(session, row)
                    return None
                if not waiting:
                    store.add_checkpoint(session, new_checkpoint(row, Trigger.STOP))
                message = "Your environment is being saved."
                store.change_server(session, row, status=ServerStatus.SAVING, message=message)
        return None

    def _wanted(self, row: ServerRow) -> str:
        if row.choice == BASE:
            return self._ground.base
        if row.choice == LAST:
            return row.continues_from or row.environment or self._ground.base
        return row.choice

    def _restored(
        self, row: ServerRow, directory: EnvironmentDirectory, wanted: str
    ) -> tuple[str, str | None]:
        """Restore what is wanted or what comes closest: its digest, and what to tell the user."""
        with self._ground.database.read() as session:
            ready = rebase_store.been_at(session, row, wanted)
        earlier = [
            policy.Candidate(one.digest, f"the checkpoint of {one.created_at:%d %b %H:%M} UTC")
            for one in ready
            if one.digest is not None and not window_of(self._ground).too_old(one.platform_version)
        ]
        problem: oci.OciError | None = None
        for candidate in policy.candidates(wanted, earlier, self._ground.base):
            try:
                warning = self._other_base(candidate.digest)
                self._restore(row, directory, candidate.digest)
            except oci.StoreFullError as error:
                raise FullError(error.detail, hint=error.hint) from error
            except oci.OciError as error:
                problem = problem or error
                continue
            if problem is None:
                return candidate.digest, warning
            sentence = (
                f"The environment that was asked for cannot be restored ({problem.detail})"
                f" This is {candidate.what}."
            )
            return candidate.digest, " ".join(filter(None, (sentence, warning)))
        raise UnavailableError(f"No environment can be restored: {problem}")

    def _restore(self, row: ServerRow, directory: EnvironmentDirectory, digest: str) -> None:
        told = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal told
            if time.monotonic() - told < TOLD_EVERY_S:
                return
            told = time.monotonic()
            sizes = f"{words.size(done)} of {words.size(total)}"
            with self._ground.database.write() as session:
                again = session.get_one(ServerRow, row.id)
                if again.status == ServerStatus.PREPARING:
                    message = f"restoring your environment: {sizes}"
                    store.change_server(session, again, done=done, total=total, message=message)

        directory.restore(self._ground.images, digest, progress)

    def _prepared(
        self, row: ServerRow, directory: EnvironmentDirectory, digest: str, fallback: str | None
    ) -> None:
        """Write it down, unless the hub meanwhile gave this start up or asked for another."""
        packages = self._packages(digest, directory)
        with self._ground.database.write() as session:
            again = session.get_one(ServerRow, row.id)
            if again.status != ServerStatus.PREPARING or again.start_id != row.start_id:
                return
            known = store.owned_checkpoint(session, row.user, digest)
            store.change_server(
                session,
                again,
                status=ServerStatus.PREPARED,
                running_id=row.start_id,
                prepared_at=self._ground.clock(),
                started_at=None,
                environment=digest,
                current=known.id if known is not None else None,
                saved_at=saved_until(again, digest, known),
                continues_from=None,
                fallback=fallback or row.fallback,
                base=self._ground.base,
                base_name=self._ground.platform.name,
                packages=packages,
                reason=None,
                message=fallback or row.fallback or "Your environment is ready.",
                done=0,
                total=0,
            )

    def _packages(self, digest: str, directory: EnvironmentDirectory) -> dict[str, str]:
        """What is installed in the environment `digest`, over the base."""
        if digest == self._ground.base:
            return {}
        with self._ground.database.read() as session:
            rows = store.with_digest(session, digest)
        if rows:
            return dict(rows[0].packages)
        return dict(directory.installed(with_files=False).versions)

    def _save_first(self, row: ServerRow) -> None:
        with self._ground.database.write() as session:
            again = session.get_one(ServerRow, row.id)
            if again.status == ServerStatus.PREPARING:
                store.change_server(
                    session,
                    again,
                    status=ServerStatus.UNSAVED,
                    message="What you changed is being saved first.",
                )

    def _ended(self, row: ServerRow) -> float | None:
        """Seconds to wait for the processes of the server that ended; the last ones are ended."""
        assert row.running_id is not None  # noqa: S101  # the caller asked
        if not marked(views.MARK, row.running_id):
            return None
        since = row.ended_at or row.updated_at
        if (self._ground.clock() - since).total_seconds() < self._ground.settings.end_grace_s:
            return _ENDING_S
        if not end_marked(views.MARK, row.running_id):
            raise UnavailableError("Processes of the stopped server do not end.")
        return None

    def _go_on(self, row: ServerRow, directory: EnvironmentDirectory, digest: str) -> None:
        """Use the directory as it is; say once where the platform's own packages changed under it."""
        try:
            directory.refresh()
        except oci.StoreFullError as error:
            raise FullError(error.detail, hint=error.hint) from error
        moved_on = None
        if row.base not in (None, self._ground.base):
            with suppress(oci.OciError):  # its image may be gone: the directory has everything
                moved_on = self._other_base(digest)
        self._prepared(row, directory, digest, moved_on)

    def _unsaved(self, directory: EnvironmentDirectory) -> bool:
        """Whether anything in the directory is in no checkpoint; what cannot be told counts as so."""
        try:
            changed = bool(directory.changed().files)
        except oci.OciError:
            return True  # saving says what is wrong with it
        return changed or self._ground.unwritten(directory.digest())

    def _other_base(self, digest: str) -> str | None:
        """What to tell where the environment was saved over another base."""
        config, platform = oci.load_image(self._ground.images, digest).config, self._ground.platform
        python = config.labels.get(PYTHON_LABEL)
        if config.labels.get(LABEL) in (None, platform.label):
            return None
        if python not in (None, platform.python_version):
            return _OTHER_PYTHON.format(python, platform.python_version)
        aged = window_of(self._ground).aged(config.labels.get(VERSION_LABEL))
        return " ".join(filter(None, (_OTHER_BASE, aged)))
