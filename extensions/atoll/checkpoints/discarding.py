"""Giving up what an ended server changed and never saved: an explicit act of its owner."""

from __future__ import annotations

from contextlib import nullcontext

from sqlalchemy import select
from sqlalchemy.orm import Session

from atoll import oci
from atoll.checkpoints import store
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import CheckpointStatus, ServerStatus, ServerTarget
from atoll.checkpoints.saving import settled
from atoll.checkpoints.store import HoldRow, ServerRow
from atoll.kit.errors import ConflictError

_REASON = "discarded"
_MESSAGE = "What was not saved was discarded."


def discard(ground: Ground, row: ServerRow) -> ServerRow:
    """The server, settled without a save; as it is where nothing is unsaved.

    Its directory is removed; a container's layer may go from then on. Raises ConflictError while it
    runs, while it is being saved at this moment, and where somebody waits for the save.
    """
    if row.status in (ServerStatus.FRESH, ServerStatus.SAVED):
        return row
    with ground.database.read() as session:
        _check(session, row)
    directory = ground.directory(row)
    with nullcontext(True) if row.contained else directory.lock() as mine:
        if not mine:
            raise ConflictError(
                "This server is being saved at this moment.", hint="Look at it again in a while."
            )
        with ground.database.write() as session:
            again = session.get_one(ServerRow, row.id)
            _check(session, again)
            for checkpoint in store.working_checkpoints(session, row.id):
                store.change_checkpoint(
                    session,
                    checkpoint,
                    status=CheckpointStatus.FAILED,
                    reason=_REASON,
                    message=_MESSAGE,
                    finished_at=ground.clock(),
                )
            if not row.contained:
                directory.discard()
            settled(session, again)
            store.change_server(session, again, reason=_REASON, message=_MESSAGE)
        oci.clean(directory.root)
    return again


def _check(session: Session, row: ServerRow) -> None:
    if row.status not in (ServerStatus.UNSAVED, ServerStatus.SAVING):
        raise ConflictError(
            "This server runs: what it changes is not given up.", hint="Stop it first."
        )
    if row.target == ServerTarget.RUNNING and row.start_id is not None:
        raise ConflictError(
            "A start of this server waits for the save.", hint="Cancel the start first."
        )
    ids = [one.id for one in store.working_checkpoints(session, row.id)]
    stops = select(HoldRow.holder).where(HoldRow.checkpoint.in_(ids), HoldRow.digest == "")
    waiting = session.scalar(stops.limit(1))
    if waiting is not None:
        raise ConflictError(f"{waiting} waits for the save.", hint="Stop it first.")
