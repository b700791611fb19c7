"""Queries about the saves that agents carry out, and the line in which they stand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from atoll.checkpoints.models import CheckpointStatus, ServerStatus, ServerTarget, Trigger
from atoll.checkpoints.node_queue import Save, Standing, Turn, turns
from atoll.checkpoints.origins import at_rest
from atoll.checkpoints.settings import NodeSettings
from atoll.checkpoints.store import WORKING, CheckpointRow, HoldRow, NodeRow, ServerRow

PRESENT: Final = timedelta(seconds=90)  # a node's agent asks for work, or tells, every 25 s or less
_SEEN: Final = timedelta(seconds=10)  # how exactly it is written down when it did


def seen(session: Session, node: str, now: datetime) -> None:
    """Write down that the node's agent is there."""
    row = session.get(NodeRow, node)
    if row is None:
        session.add(NodeRow(name=node, seen_at=now))
        session.flush()
    elif now - row.seen_at >= _SEEN:
        row.seen_at = now


def seen_lately(session: Session, node: str, now: datetime) -> bool:
    """Whether that is written down as exactly as it has to be."""
    row = session.get(NodeRow, node)
    return row is not None and now - row.seen_at < _SEEN


def standing(session: Session, settings: NodeSettings, now: datetime) -> Standing:
    """How all saves of all nodes stand, in one look."""
    held = (
        select(HoldRow.checkpoint)
        .where(HoldRow.checkpoint == CheckpointRow.id, HoldRow.digest == "")
        .exists()
    )
    query = (
        select(
            CheckpointRow.id,
            CheckpointRow.server_id,
            CheckpointRow.node,
            CheckpointRow.trigger,
            CheckpointRow.status,
            CheckpointRow.created_at,
            CheckpointRow.not_before,
            CheckpointRow.lease_until,
            ServerRow.status,
            ServerRow.target,
            CheckpointRow.left_id,
            held,
        )
        .join(ServerRow, ServerRow.id == CheckpointRow.server_id)
        .where(CheckpointRow.node.is_not(None), CheckpointRow.status.in_(WORKING))
    )
    saves = tuple(
        Save(
            id=id_,
            server=id_ if trigger == Trigger.REBASE or left_id else server,
            node=node or "",
            at_rest=trigger == Trigger.REBASE or bool(left_id) or at_rest(server_status),
            wanted=(
                trigger in (Trigger.USER, Trigger.REBASE)
                or waited_for
                or (at_rest(server_status) and target == ServerTarget.RUNNING and not left_id)
            ),
            asked=created.timestamp(),
            not_before=not_before.timestamp() if not_before is not None else 0.0,
            working=leased(status, until, now),
        )
        for (
            id_, server, node, trigger, status, created, not_before, until,
            server_status, target, left_id, waited_for,
        ) in session.execute(query)
    )  # fmt: skip
    present = session.scalars(select(NodeRow.name).where(NodeRow.seen_at > now - PRESENT))
    return Standing(
        saves=saves,
        present=frozenset(present),
        now=now.timestamp(),
        per_node=settings.per_node,
        at_once=settings.at_once,
    )


def unsettled_in_containers(session: Session, pod: str | None = None) -> list[ServerRow]:
    """Servers that may have something unsaved in a container; of the pod NAMESPACE/NAME alone."""
    unsettled = (ServerStatus.RUNNING, ServerStatus.UNSAVED, ServerStatus.SAVING)
    query = select(ServerRow).where(
        ServerRow.contained, ServerRow.container.is_not(None), ServerRow.status.in_(unsettled)
    )
    if pod is not None:
        query = query.where(ServerRow.container.startswith(f"{pod}/", autoescape=True))
    return list(session.scalars(query))


def leased(status: str, until: datetime | None, now: datetime) -> bool:
    """Whether an agent works on it, as far as anybody knows."""
    return status != CheckpointStatus.REQUESTED and until is not None and until > now


def all_turns(session: Session, settings: NodeSettings, now: datetime) -> Mapping[str, Turn]:
    """The turn of every save that waits."""
    return turns(standing(session, settings, now))
