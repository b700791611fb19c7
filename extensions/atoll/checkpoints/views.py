"""Rows as they cross the wire."""

from __future__ import annotations

from collections.abc import Sequence

from atoll.checkpoints.directory import EnvironmentDirectory
from atoll.checkpoints.models import (
    Changes,
    Checkpoint,
    CheckpointId,
    CheckpointStatus,
    Digest,
    LeftOut,
    Preparation,
    Progress,
    Server,
    ServerStatus,
    ServerTarget,
    Trigger,
)
from atoll.checkpoints.node_queue import AWAY, Turn
from atoll.checkpoints.store import CheckpointRow, ServerRow
from atoll.checkpoints.window import Window

MARK = "ATOLL_SERVER_START"
"""The environment variable that marks every process of one start."""


def server_view(row: ServerRow, turn: Turn | None = None) -> Server:
    """A server; `turn` is why its save waits for an agent, where it does."""
    return Server(
        user=row.user,
        name=row.name,
        target=ServerTarget(row.target),
        status=ServerStatus(row.status),
        version=row.version,
        reason=row.reason,
        message=_told(row, turn),
        progress=Progress(done=row.done, total=row.total),
        environment=_digest(row.environment),
        continues_from=_digest(row.continues_from),
        base_name=row.base_name,
        saved_at=row.saved_at,
        unsaved=Changes.model_validate(row.unsaved) if row.unsaved is not None else None,
        ended_why=row.ended_why,
        failed_start=row.failed_start,
    )


def fresh_server(user: str, name: str, base_name: str) -> Server:
    """A server of which nothing is kept yet."""
    return Server(
        user=user,
        name=name,
        target=ServerTarget.SAVED,
        status=ServerStatus.FRESH,
        version=0,
        base_name=base_name,
    )


def checkpoint_view(
    row: CheckpointRow,
    window: Window,
    current: str | None = None,
    turn: Turn | None = None,
    shared_with: Sequence[str] = (),
) -> Checkpoint:
    """A checkpoint; `window` is what still starts, `current` the id of its server's, `turn` why it waits if it does."""
    told = turn if row.reason is None else None  # what went wrong before says more
    return Checkpoint(
        id=CheckpointId(row.id),
        user=row.user,
        server=row.server,
        trigger=Trigger(row.trigger),
        note=row.note,
        pinned=row.pinned,
        status=CheckpointStatus(row.status),
        reason=told.reason if told is not None else row.reason,
        message=told.message if told is not None else row.message,
        progress=Progress(done=row.done, total=row.total),
        digest=_digest(row.digest),
        parent=_digest(row.parent),
        base=_digest(row.base),
        base_name=row.base_name,
        platform_version=row.platform_version,
        too_old=window.too_old(row.platform_version),
        current=row.id == current,
        left=row.left_id is not None,
        shared_with=list(shared_with),
        layer_size=row.layer_size,
        size=row.size,
        changes=Changes.model_validate(row.changes) if row.changes is not None else None,
        left_out=[LeftOut.model_validate(item) for item in row.left_out],
        job=row.job,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def preparation_view(
    row: ServerRow,
    directory: EnvironmentDirectory,
    *,
    image: str | None = None,
    architecture: str | None = None,
    hold_token: str = "",
    turn: Turn | None = None,
) -> Preparation:
    """How a server's start stands; what follows the directory is of one in a container.

    `turn` is why the save of its last stop waits for an agent, where it does.
    """
    start_id = row.start_id or ""
    running = row.status in (ServerStatus.PREPARED, ServerStatus.RUNNING)
    ready = running and bool(start_id) and row.running_id == start_id
    if row.contained:
        path, variables = "", {MARK: start_id}
    else:
        path, variables = str(directory.env), {**directory.variables(), MARK: start_id}
    return Preparation(
        start_id=start_id,
        ready=ready,
        version=row.version,
        message=_waits(row, turn),
        progress=Progress(done=row.done, total=row.total),
        path=path if ready else "",
        variables=variables if ready else {},
        environment=_digest(row.environment),
        fallback=row.fallback,
        contained=row.contained,
        image=image if ready else None,
        architecture=architecture if ready and row.contained else None,
        hold_token=hold_token if ready and row.contained else "",
    )


def _told(row: ServerRow, turn: Turn | None) -> str | None:
    """What went wrong says more than why it waits, and that more than that it is saved."""
    if turn is None or row.reason is not None:
        return row.message
    return f"{turn.message}{_way_out(turn)}"


def _waits(row: ServerRow, turn: Turn | None) -> str:
    """The same for whoever starts the server, who must read what is waited for."""
    if turn is None or row.reason is not None:
        return row.message or ""
    told = f"{turn.message[:1].lower()}{turn.message[1:]}"
    return f"Your last stop waits to be saved: {told}{_way_out(turn)}"


def _way_out(turn: Turn) -> str:
    """What can be done instead of waiting."""
    if turn.reason != AWAY:
        return ""
    return (
        " To start without it, choose an earlier environment, or a fresh start: what is on the node"
        " is then saved beside the others when it is back."
    )


def _digest(text: str | None) -> Digest | None:
    return Digest(text) if text is not None else None
