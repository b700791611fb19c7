"""Checkpoints as they are asked for: by somebody, or by nobody, as automatic ones are."""

from __future__ import annotations

from sqlalchemy.orm import Session

from atoll.checkpoints import store
from atoll.checkpoints.models import CheckpointStatus, ServerStatus, Trigger
from atoll.checkpoints.store import CheckpointRow, ServerRow
from atoll.kit.names import new_id


def new_checkpoint(server: ServerRow, trigger: Trigger, note: str = "") -> CheckpointRow:
    """A checkpoint that is asked for."""
    return CheckpointRow(
        id=new_id("k"),
        version=1,
        server_id=server.id,
        user=server.user,
        server=server.name,
        trigger=trigger,
        note=note,
        status=CheckpointStatus.REQUESTED,
        message="Your environment waits to be saved.",
        node=server.node if server.contained else None,
    )


def adopt(session: Session, row: CheckpointRow | None, trigger: Trigger) -> None:
    """Make an automatic checkpoint that of whoever would ask for the same now: it is kept as such."""
    if row is not None and row.trigger == Trigger.AUTOMATIC:
        store.change_checkpoint(session, row, trigger=trigger)


def moot(row: CheckpointRow, server: ServerRow) -> bool:
    """Whether it is automatic, and the start that it was asked for has ended: that end is saved."""
    if row.trigger != Trigger.AUTOMATIC:
        return False
    return server.status != ServerStatus.RUNNING or server.tried_at is None
