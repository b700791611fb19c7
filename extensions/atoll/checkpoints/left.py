"""Stops that their servers went on without, since their node is silent: each is saved when it is back.

Such a save is nobody's who waits: it becomes a checkpoint beside the others, and its pod stays, or is
held, until it is final. It has written down of which container it is, as its server has another now.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from atoll.checkpoints import saving, store
from atoll.checkpoints.models import CheckpointStatus, ServerTarget
from atoll.checkpoints.node_queue import AWAY, Turn
from atoll.checkpoints.store import WORKING, CheckpointRow, ServerRow

_TOLD: Final = (
    "What your last stop changed is still on its node {0}, which does not answer. When that is back"
    " it is saved beside the others, as “left on {0}”."
)


def may_be_left(row: CheckpointRow, server: ServerRow, turn: Turn | None) -> bool:
    """Whether the waiting start can go on without this save: it begins with something else."""
    return (
        turn is not None
        and turn.reason == AWAY
        and row.status == CheckpointStatus.REQUESTED
        and saving.of_this_stop(row, server)
        and server.contained
        and server.target == ServerTarget.RUNNING
        and server.start_id is not None
        and not saving.wants_to_continue(server)
    )


def leave(session: Session, row: CheckpointRow, server: ServerRow) -> None:
    """Let the start go on; what is on the node is the checkpoint's alone from then on."""
    store.change_checkpoint(
        session,
        row,
        left_id=server.running_id,
        container=server.container,
        image=server.image,
        base=server.base or (server.image or "").rpartition("@")[2],
        base_name=server.base_name,
        note=row.note or f"left on {row.node}",
    )
    saving.settled(session, server)
    store.change_server(session, server, fallback=_TOLD.format(row.node))


def left(session: Session, start_id: str | None = None) -> list[CheckpointRow]:
    """Those that are not final; that of this start alone."""
    query = select(CheckpointRow).where(
        CheckpointRow.left_id.is_not(None), CheckpointRow.status.in_(WORKING)
    )
    if start_id is not None:
        query = query.where(CheckpointRow.left_id == start_id)
    return list(session.scalars(query))
