"""One checkpoint carried out: looked at, copied, published, and written down with its server."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from atoll import oci
from atoll.checkpoints import metrics, retention, store
from atoll.checkpoints.asked import adopt, moot
from atoll.checkpoints.directory import EnvironmentDirectory, QuotaError, Saved
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import CheckpointStatus, ServerStatus, ServerTarget, Trigger
from atoll.checkpoints.private import SECRETS, private
from atoll.checkpoints.store import CheckpointRow, HoldRow, ServerRow
from atoll.kit import words
from atoll.kit.errors import AtollError, FullError, UnavailableError

log = logging.getLogger(__name__)

TOLD_EVERY_S: Final = 0.5  # how often progress is written down: each time is a transaction
CANCELLED: Final = "cancelled"
OVER_QUOTA: Final = "quota_exceeded"
_NAMED: Final = 5  # paths in a message
BUSY_S: Final = 0.2  # until a directory that somebody else works on is tried again


class Saving:
    """Carries out checkpoints, one at a time for each server. Blocks: call it from a thread."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def perform(self, checkpoint_id: str) -> float | None:
        """Carry out the checkpoint; the seconds after which to try again, None where it is final.

        Raises AtollError where it failed and is to be tried again.
        """
        found = self._unfinished(checkpoint_id)
        if found is None:
            return None
        directory = self._ground.directory(found[1])
        with directory.lock() as mine:
            if not mine:
                return BUSY_S
            found = self._unfinished(checkpoint_id)  # another service may have been quicker
            if found is None:
                return None
            row, server = found
            at_rest_only = row.trigger == Trigger.STOP and server.status == ServerStatus.UNSAVED
            if self._unwanted(row, server):
                return None
            if at_rest_only or server.status == ServerStatus.PREPARING:
                return BUSY_S
            self._save(row, server, directory)
        retention.apply(self._ground, server.id)
        return None

    def _unfinished(self, checkpoint_id: str) -> tuple[CheckpointRow, ServerRow] | None:
        with self._ground.database.read() as session:
            row = session.get(CheckpointRow, checkpoint_id)
            if row is None or row.node is not None or CheckpointStatus(row.status).final:
                return None  # done, or an agent's
            if row.trigger == Trigger.REBASE:
                return None  # no server's
            return row, session.get_one(ServerRow, row.server_id)

    def _unwanted(self, row: CheckpointRow, server: ServerRow) -> bool:
        """Whether nobody wants it any more; it is ended then."""
        if row.cancelled:
            self._finish(row.id, server.id, CheckpointStatus.FAILED, CANCELLED, "Cancelled.")
        elif moot(row, server):
            with self._ground.database.write() as session:
                store.delete_checkpoints(session, [session.get_one(CheckpointRow, row.id)])
        else:
            return False
        return True

    def _save(self, row: CheckpointRow, server: ServerRow, directory: EnvironmentDirectory) -> None:
        if not directory.whole():
            message = "There is no environment of this server to save."
            self._finish(row.id, server.id, CheckpointStatus.FAILED, "nothing_to_save", message)
            return
        began = time.monotonic()
        try:
            saved = self._copied(row, server.id, directory)
            if saved is None and self._ground.unwritten(directory.digest()):
                saved = directory.as_saved(self._ground.images, server.environment)
        except Exception as error:  # noqa: BLE001  # whatever it is: somebody waits for an answer
            outcome = "refused" if isinstance(error, oci.LimitError) else "failed"
            metrics.embedded(outcome, row.trigger)
            self._failed(row, server, error)
            return
        size = saved.added if saved is not None else 0
        metrics.embedded("saved", row.trigger, size, time.monotonic() - began)
        self._ready(row.id, server.id, saved, directory)

    def _copied(
        self, row: CheckpointRow, server_id: str, directory: EnvironmentDirectory
    ) -> Saved | None:
        row_id = row.id
        with self._ground.database.read() as session:
            room = self._ground.room(session, row.user)
        self._tell(row_id, server_id, CheckpointStatus.SCANNING, 0, 0)
        told = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal told
            if time.monotonic() - told >= TOLD_EVERY_S:
                told = time.monotonic()
                self._tell(row_id, server_id, CheckpointStatus.COPYING, done, total)

        return directory.save(
            self._ground.images,
            self._ground.base,
            row_id,
            created=self._ground.clock(),
            most_layers=self._ground.settings.most_layers,
            room=room,
            progress=progress,
            publishing=lambda: self._tell(row_id, server_id, CheckpointStatus.PUBLISHING, 0, 0),
        )

    def _tell(
        self, row_id: str, server_id: str, status: CheckpointStatus, done: int, total: int
    ) -> None:
        message = "Your environment is being saved."
        if total:
            sizes = f"{words.size(done)} of {words.size(total)}"
            message = f"saving your environment: {sizes}"
        with self._ground.database.write() as session:
            row = session.get_one(CheckpointRow, row_id)
            if row.cancelled:
                raise oci.CancelledError("It was cancelled.")
            if status is CheckpointStatus.PUBLISHING:  # all is copied
                done = total = row.total
            store.change_checkpoint(
                session, row, status=status, done=done, total=total, message=message, reason=None
            )
            server = session.get_one(ServerRow, server_id)
            if server.status == ServerStatus.SAVING:
                store.change_server(
                    session, server, done=done, total=total, message=message, reason=None
                )

    def _ready(
        self, row_id: str, server_id: str, saved: Saved | None, directory: EnvironmentDirectory
    ) -> None:
        with self._ground.database.write() as session:
            row = session.get_one(CheckpointRow, row_id)
            server = session.get_one(ServerRow, server_id)
            if saved is None:
                unchanged(session, self._ground, row, server, directory.digest())
            else:
                self._write_down(session, row, server, saved)
            fulfil_holds(session, row)
            if of_this_stop(row, server):
                settled(session, server)

    def _write_down(
        self, session: Session, row: CheckpointRow, server: ServerRow, saved: Saved
    ) -> None:
        moment = self._ground.clock()
        store.write_checkpoint(session, row, saved_values(self._ground, row, saved))
        store.change_server(
            session,
            server,
            environment=saved.digest,
            current=row.id,
            saved_at=moment,
            unsaved=None,
            packages=saved.packages,
            base=self._ground.base,
            base_name=self._ground.platform.name,
        )

    def _failed(self, row: CheckpointRow, server: ServerRow, error: Exception) -> None:
        """Write down why, and raise where it is to be tried again."""
        if isinstance(error, oci.CancelledError):
            self._finish(row.id, server.id, CheckpointStatus.FAILED, CANCELLED, "Cancelled.")
            return
        full = isinstance(error, oci.StoreFullError)
        limit = isinstance(error, oci.LimitError)
        reason = "disk_full" if full else "too_large" if limit else "save_failed"
        if isinstance(error, QuotaError):
            reason = OVER_QUOTA
        known = isinstance(error, oci.OciError | OSError | AtollError)
        if not known:
            log.error("%s failed", row.id, exc_info=error, extra={"checkpoint": row.id})
        why = str(error) if known else f"{error!r}."
        if row.trigger == Trigger.STOP:
            with self._ground.database.read() as session:
                final = wants_to_continue(session.get_one(ServerRow, server.id))
        else:
            final = limit or row.trigger in (Trigger.USER, Trigger.AUTOMATIC)
        if final:
            status = CheckpointStatus.REFUSED if limit else CheckpointStatus.FAILED
            self._finish(row.id, server.id, status, reason, f"Not saved: {why}")
            return
        message = words.retried(f"Not saved yet: {why}")
        with self._ground.database.write() as session:
            again = session.get_one(CheckpointRow, row.id)
            store.change_checkpoint(
                session, again, status=CheckpointStatus.REQUESTED, reason=reason, message=message
            )
            current = session.get_one(ServerRow, server.id)
            if current.status == ServerStatus.SAVING:
                store.change_server(session, current, reason=reason, message=message)
        raise _as_atoll(why, full=full) from error

    def _finish(
        self,
        row_id: str,
        server_id: str,
        status: CheckpointStatus,
        reason: str,
        message: str,
    ) -> None:
        """End a checkpoint that saved nothing. A start that only continues is let through."""
        with self._ground.database.write() as session:
            row = session.get_one(CheckpointRow, row_id)
            moment = self._ground.clock()
            store.change_checkpoint(
                session, row, status=status, reason=reason, message=message, finished_at=moment
            )
            server = session.get_one(ServerRow, server_id)
            if not of_this_stop(row, server):
                return
            if wants_to_continue(server):
                store.change_server(
                    session,
                    server,
                    status=ServerStatus.PREPARING,
                    running_id=None,
                    reason=reason,
                    message=message,
                    fallback="Your last stop could not be saved, so you continue in the"
                    f" environment as you left it. {message}",
                )
            else:
                store.change_server(
                    session, server, status=ServerStatus.UNSAVED, reason=reason, message=message
                )


def saved_values(ground: Ground, row: CheckpointRow, saved: Saved) -> store.Values:
    """What a ready checkpoint says of an environment that was a directory here."""
    return {
        "status": CheckpointStatus.READY,
        "reason": SECRETS if saved.secrets else None,
        "message": warning(saved.secrets, saved.torn),
        "secrets": saved.secrets,
        "done": row.total,
        "digest": saved.digest,
        "parent": saved.parent,
        "base": ground.base,
        "base_name": ground.platform.name,
        "layer_size": saved.layer_size,
        "size": saved.size,
        "layers": saved.layers,
        "changes": saved.changes.model_dump(mode="json"),
        "packages": saved.packages,
        "left_out": [{"path": path, "reason": reason} for path, reason in saved.left_out],
        "finished_at": ground.clock(),
        **saved.made_for,
    }


def unchanged(
    session: Session, ground: Ground, row: CheckpointRow, server: ServerRow, digest: str | None
) -> None:
    """Make the checkpoint ready as the same environment that its server is at already."""
    digest = digest or server.environment or ground.base
    if row.trigger == Trigger.AUTOMATIC:  # nobody waits for it
        store.delete_checkpoints(session, [row])
        return
    before = store.known_checkpoint(session, server.user, digest)
    known = private(session, digest)
    told = (warning(known.secrets, ()) or known.message) if known is not None else None
    own = before is not None and before.user == server.user  # else somebody shared it
    if own and before is not None:
        adopt(session, before, Trigger(row.trigger))
    shown = not own or bool(row.note)  # a named point in time is worth a line of its own
    store.change_checkpoint(
        session,
        row,
        status=CheckpointStatus.READY,
        reason=known.reason if known is not None else None,
        message=f"Nothing had changed. {told or ''}".rstrip(),
        secrets=known.secrets if known is not None else [],
        digest=digest,
        parent=before.parent if before is not None else None,
        base=before.base if before is not None else ground.base,
        base_name=before.base_name if before is not None else ground.platform.name,
        size=before.size if before is not None else 0,
        layers=before.layers if before is not None else {},
        changes=before.changes if before is not None else {},
        packages=before.packages if before is not None else {},
        same_as=before.id if before is not None and not shown else None,
        repository=before.repository if before is not None else None,
        platform_version=before.platform_version if before is not None else None,
        python_version=before.python_version if before is not None else None,
        architecture=before.architecture if before is not None else None,
        image=before.image if before is not None else row.image or server.image,
        finished_at=ground.clock(),
    )
    if shown and row.left_id is None:
        store.change_server(
            session, server, environment=digest, current=row.id, saved_at=ground.clock()
        )


def saved_until(
    server: ServerRow, digest: str | None, known: CheckpointRow | None
) -> datetime | None:
    """When that was saved which a server starts from; None for its base, and for what another one saved."""
    if digest is not None and digest == server.environment:
        return server.saved_at
    return known.finished_at if known is not None and known.user == server.user else None


def settled(session: Session, server: ServerRow) -> None:
    """A stopped server's directory has nothing unsaved any more: on to what is wanted next."""
    wanted = server.target == ServerTarget.RUNNING and server.start_id is not None
    message = "Your environment is being prepared." if wanted else None
    reason = None
    if server.failed_start and not wanted:
        reason = "start_failed"
        message = (
            "The last start did not become ready. What you saved is safe; if it happens again,"
            " start from an earlier checkpoint, or fresh."
        )
    store.change_server(
        session,
        server,
        status=ServerStatus.PREPARING if wanted else ServerStatus.SAVED,
        settled_id=server.running_id or server.settled_id,
        running_id=None,
        unsaved=None,
        reason=reason,
        message=message,
        done=0,
        total=0,
    )


def fulfil_holds(session: Session, row: CheckpointRow) -> None:
    """Who waited for this checkpoint holds its environment from now on."""
    waiting = session.query(HoldRow).where(HoldRow.checkpoint == row.id, HoldRow.digest == "")
    for hold in waiting:
        session.delete(hold)
        session.flush()
        session.merge(HoldRow(holder=hold.holder, digest=row.digest, checkpoint=row.id))


def of_this_stop(row: CheckpointRow, server: ServerRow) -> bool:
    """Whether it is the checkpoint that the stopped server waits for; a live one may come before."""
    stop = row.trigger == Trigger.STOP and row.left_id is None
    return stop and server.status == ServerStatus.SAVING


def wants_to_continue(server: ServerRow) -> bool:
    """Whether a start waits that goes on in the very directory, so that saving may come later."""
    return (
        server.target == ServerTarget.RUNNING
        and server.start_id is not None
        and server.choice == "last"
        and server.continues_from is None
    )


def warning(secrets: Sequence[str], torn: Sequence[str]) -> str | None:
    """What people should know of a checkpoint that is ready all the same."""
    sentences = []
    if secrets:
        names = ", ".join(secrets[:_NAMED])
        sentences.append(f"It seems to hold secrets ({names}): whoever may use it can read them.")
    if torn:
        names = ", ".join(torn[:_NAMED])
        sentences.append(f"Still being written while it was saved: {names}.")
    return " ".join(sentences) or None


def _as_atoll(why: str, *, full: bool) -> AtollError:
    return FullError(why) if full else UnavailableError(why)
