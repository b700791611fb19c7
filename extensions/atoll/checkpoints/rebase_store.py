"""Queries about rebases, which are checkpoints that save no server."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from atoll.checkpoints import store
from atoll.checkpoints.models import Trigger
from atoll.checkpoints.store import WORKING, CheckpointRow, ServerRow


def working(session: Session, user: str) -> list[CheckpointRow]:
    """The rebases of a user's checkpoints that are not final."""
    query = select(CheckpointRow).where(
        CheckpointRow.status.in_(WORKING),
        CheckpointRow.user == user,
        CheckpointRow.trigger == Trigger.REBASE,
    )
    return list(session.scalars(query))


def needs(session: Session, job: str) -> bool:
    """Whether a rebase that is not final needs what this job leaves behind."""
    query = select(CheckpointRow.id).where(
        CheckpointRow.status.in_(WORKING), CheckpointRow.job == job
    )
    return session.scalar(query.limit(1)) is not None


def been_at(session: Session, server: ServerRow, wanted: str) -> list[CheckpointRow]:
    """A server's ready checkpoints, newest first, without rebases that it never went over to."""
    rows = store.ready_checkpoints(session, server.id)
    saved_over = {row.parent for row in rows if row.trigger != Trigger.REBASE}
    been = {*saved_over, server.environment, wanted}
    return [row for row in rows if row.trigger != Trigger.REBASE or row.digest in been]


def holder(id_: str) -> str:
    """What a rebase is called where its source is held."""
    return f"rebase:{id_}"
