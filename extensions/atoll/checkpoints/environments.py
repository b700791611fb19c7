"""Environments for jobs: made sure of, held against deletion, unpacked where a job runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from atoll import oci
from atoll.checkpoints import rebase_store, sharing, store
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import BASE, LAST, CheckpointStatus, Digest, ServerStatus, Trigger
from atoll.checkpoints.store import CheckpointRow, HoldRow, ServerRow
from atoll.checkpoints.targets import Targets
from atoll.checkpoints.window import window_of
from atoll.kit.errors import ConflictError, FullError, InvalidError, NotFoundError, UnavailableError

_NAMED_MOST: Final = 20  # servers that a hint lists
SERVER = "server"
"""The choice of what a server is at this moment: saved on the spot where it runs."""


@dataclass(frozen=True, slots=True)
class Pending:
    """No environment yet, and why: machine-readable and for people."""

    reason: str
    message: str


Request = Callable[[ServerRow, Trigger, str], CheckpointRow]
"""Asks for a checkpoint of a server; answers with one that is ready or on its way."""


class Environments:
    """What jobs need. `holder` is `job:` and the job's id."""

    def __init__(self, ground: Ground, request: Request, targets: Targets) -> None:
        self._ground = ground
        self._request = request
        self._targets = targets

    def check(self, user: str, server: str) -> None:
        """Raise InvalidError where nothing is known of the user's server of this name."""
        with self._ground.database.read() as session:
            if not server or store.find_server(session, user, server) is not None:
                return  # the default server needs not have run yet: its environment is the base
            page = store.servers_page(session, user, None, _NAMED_MOST)
            names = ", ".join(repr(row.name) for row in page if row.name)
        raise InvalidError(
            f"You have no server {server!r}.",
            hint=f"You have {names}." if names else "You have none but the default one.",
        )

    def ensure(
        self, caller_name: str, server: str | None, choice: str, holder: str
    ) -> Digest | Pending:
        """The environment for a choice (`server`, `last`, `base`, a digest).

        To be called until it answers with a digest. One that was named or saved for it is held by the
        holder, and stays the answer; `last` and `base` are what they are now, and whoever takes them
        holds them. Raises ConflictError where there is none and never will be.
        """
        answer = self._known(holder)
        if answer is not None:
            if isinstance(answer, str) and choice == SERVER:  # saved before its age was known
                self._check_age(caller_name, answer)
            return answer
        row: ServerRow | None = None
        if choice not in (SERVER, LAST, BASE):
            self._check_usable(caller_name, choice)
        with self._ground.database.read() as session:
            row = store.find_server(session, caller_name, server or "")
        digest = self._digest(row, choice)
        self._check_age(caller_name, digest)
        if digest is not None and choice in (LAST, BASE):
            return Digest(digest)  # a write less for each of a thousand jobs
        if digest is None:
            assert row is not None  # noqa: S101  # only a server's environment has to be made
            self._check_age(caller_name, row.environment)  # what is saved over it is as old
            checkpoint = self._request(row, Trigger.JOB, "")
            digest = checkpoint.digest
            if checkpoint.status != CheckpointStatus.READY or digest is None:
                found = self._wait_for(checkpoint, holder)
                if isinstance(found, Pending):
                    return found
                digest = found
            self._check_age(caller_name, digest)
        with self._ground.database.write() as session:
            self.hold(session, digest, holder)
        return Digest(digest)

    def hold(self, session: Session, digest: str, holder: str) -> None:
        """Hold an environment, in the caller's transaction; raises NotFoundError where it is gone."""
        if digest != self._ground.base and not store.is_known(session, digest):
            raise NotFoundError(
                "This environment is gone; it was deleted.", hint="Choose another one."
            )
        if session.get(HoldRow, (holder, digest)) is None:
            session.add(HoldRow(holder=holder, digest=digest))
            session.flush()

    def reference(self, digest: str) -> tuple[str, str | None] | None:
        """What a node pulls to run in the environment, and of which architecture it is, where that is known.

        None for the base, and where no node can.
        """
        with self._ground.database.read() as session:
            for row in store.with_digest(session, digest):
                if (
                    image := row.image or self._targets.reference(row.repository, digest)
                ) is not None:
                    return image, row.architecture
        return None

    def release(self, session: Session, holder: str) -> None:
        """Give up everything that the holder holds or waits for, in the caller's transaction."""
        store.release_holds(session, holder)

    def keeps(self, job: str) -> bool:
        """Whether what this job left behind, which has ended, is still needed: by a rebase."""
        with self._ground.database.read() as session:
            return rebase_store.needs(session, job)

    def materialise(self, digest: str, path: Path) -> dict[str, str]:
        """Unpack the environment into `path` (made if need be); the variables to run in it.

        Done again where it was cut off, at once where it is there already. Raises FullError,
        UnavailableError where it cannot be restored.
        """
        directory = self._ground.directory_at(path)
        try:
            if directory.digest() != digest:
                directory.restore(self._ground.images, digest)
        except oci.StoreFullError as error:
            raise FullError(error.detail, hint=error.hint) from error
        except oci.OciError as error:
            raise UnavailableError(
                f"The environment cannot be restored: {error.detail}", hint=error.hint
            ) from error
        return directory.variables()

    def _known(self, holder: str) -> Digest | Pending | None:
        """What the holder holds or waits for already."""
        with self._ground.database.read() as session:
            holds = store.holds_of(session, holder)
            waiting = [hold.checkpoint for hold in holds if not hold.digest]
            row = session.get(CheckpointRow, waiting[0]) if waiting else None
        for hold in holds:
            if hold.digest:
                return Digest(hold.digest)
        if row is None:
            return None
        if not CheckpointStatus(row.status).final:
            return _pending(row)
        with self._ground.database.write() as session:
            store.release_holds(session, holder)
        if row.status == CheckpointStatus.REFUSED or row.cancelled:
            raise ConflictError(row.message or "The environment could not be saved.")
        return _pending(row)  # it failed: asked for anew next time

    def _digest(self, row: ServerRow | None, choice: str) -> str | None:
        """The digest where nothing has to be saved for it."""
        if choice == BASE or (row is None and choice in (SERVER, LAST)):
            return self._ground.base
        if choice not in (SERVER, LAST):
            return choice
        assert row is not None  # noqa: S101  # the first case
        if choice == LAST or row.status in (ServerStatus.FRESH, ServerStatus.PREPARING):
            return row.environment or self._ground.base
        return None

    def _check_usable(self, user: str, digest: str) -> None:
        if digest == self._ground.base:
            return
        principals = sharing.principals_of(self._ground, user, digest)
        with self._ground.database.read() as session:
            known = sharing.usable(session, user, digest, principals)
        if known is None:
            raise ConflictError(
                "You have no saved environment of this digest.",
                hint="`atoll checkpoints list` shows those you have, and `--shared` those of others.",
            )

    def _check_age(self, user: str, digest: str | None) -> None:
        """Raise TooOldError, which is a ConflictError, where nothing runs in it any more."""
        if digest in (None, self._ground.base):
            return
        with self._ground.database.read() as session:
            known = store.known_checkpoint(session, user, str(digest))
        if known is not None:
            own = known.id if known.user == user else None
            window_of(self._ground).check(known.platform_version, own)

    def _wait_for(self, row: CheckpointRow, holder: str) -> Digest | Pending:
        with self._ground.database.write() as session:
            again = session.get_one(CheckpointRow, row.id)
            if again.status == CheckpointStatus.READY and again.digest is not None:
                self.hold(session, again.digest, holder)
                return Digest(again.digest)
            session.merge(HoldRow(holder=holder, digest="", checkpoint=row.id))
        return _pending(row)


def _pending(row: CheckpointRow) -> Pending:
    reason = row.reason or "saving_environment"
    return Pending(reason, row.message or "Your environment is being saved.")
