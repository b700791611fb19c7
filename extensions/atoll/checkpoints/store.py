"""The tables of servers, checkpoints and holds, and the queries on them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import JSON, BigInteger, ForeignKey, UniqueConstraint, delete, func, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from atoll.checkpoints.models import CheckpointStatus, ServerStatus, Trigger
from atoll.kit.db import Base, Moment, Row, guarded_update, now
from atoll.kit.errors import ConflictError
from atoll.kit.events import Change, record
from atoll.kit.names import server_segment

WORKING: Final = (
    CheckpointStatus.REQUESTED,
    CheckpointStatus.SCANNING,
    CheckpointStatus.COPYING,
    CheckpointStatus.PUBLISHING,
)


Values = dict[str, object]
"""Columns and what is written into them."""


class OvertakenError(ConflictError):
    """Somebody else changed it first; the work is looked at again."""


class ServerRow(Row):
    """A server's environment: what is wanted (`target`) and what is (`status`)."""

    __tablename__ = "servers"
    __table_args__ = (UniqueConstraint("user", "name", name="uq_servers_user"),)

    user: Mapped[str]
    name: Mapped[str]
    target: Mapped[str]
    status: Mapped[str] = mapped_column(index=True)
    start_id: Mapped[str | None]  # the start that the hub asked for last
    choice: Mapped[str]  # what that start is to begin from
    running_id: Mapped[str | None]  # the mark of processes that may live in the directory
    prepared_at: Mapped[datetime | None] = mapped_column(Moment)
    started_at: Mapped[datetime | None] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    failed_start: Mapped[bool] = mapped_column(default=False)
    reason: Mapped[str | None]
    message: Mapped[str | None]
    done: Mapped[int] = mapped_column(BigInteger, default=0)
    total: Mapped[int] = mapped_column(BigInteger, default=0)
    environment: Mapped[str | None]
    current: Mapped[str | None]  # id of the checkpoint that `environment` is
    continues_from: Mapped[str | None]
    fallback: Mapped[str | None]
    base: Mapped[str | None]
    base_name: Mapped[str] = mapped_column(default="")
    packages: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)  # as in `environment`
    saved_at: Mapped[datetime | None] = mapped_column(Moment)
    unsaved: Mapped[dict[str, object] | None] = mapped_column(JSON(none_as_null=True))
    contained: Mapped[bool] = mapped_column(default=False)  # in a container, not in a directory
    node: Mapped[str | None]  # where the container is, once it was started
    container: Mapped[str | None]
    image: Mapped[str | None]  # what it was started from, by digest
    without: Mapped[list[str]] = mapped_column(JSON, default=list)  # what this start did without
    settled_id: Mapped[str | None]  # the last start of which nothing is unsaved any more
    ended_why: Mapped[str | None]  # where nobody stopped it: a sentence
    save_every_s: Mapped[int | None]  # by itself, while it runs; None: as the settings say
    tried_at: Mapped[datetime | None] = mapped_column(Moment)  # the same: when it was asked for


class CheckpointRow(Row):
    """A checkpoint; `same_as` names the one before it where nothing had changed."""

    __tablename__ = "checkpoints"

    server_id: Mapped[str] = mapped_column(ForeignKey("servers.id"), index=True)
    user: Mapped[str] = mapped_column(index=True)
    server: Mapped[str]
    trigger: Mapped[str]
    note: Mapped[str] = mapped_column(default="")
    pinned: Mapped[bool] = mapped_column(default=False)
    status: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str | None]
    message: Mapped[str | None]
    done: Mapped[int] = mapped_column(BigInteger, default=0)
    total: Mapped[int] = mapped_column(BigInteger, default=0)
    digest: Mapped[str | None] = mapped_column(index=True)
    parent: Mapped[str | None]
    base: Mapped[str | None]
    base_name: Mapped[str] = mapped_column(default="")
    layer_size: Mapped[int] = mapped_column(BigInteger, default=0)
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    changes: Mapped[dict[str, object] | None] = mapped_column(JSON(none_as_null=True))
    packages: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)  # over the base
    left_out: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)
    secrets: Mapped[list[str]] = mapped_column(JSON, default=list)  # paths that look like some
    same_as: Mapped[str | None]
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    layers: Mapped[dict[str, int]] = mapped_column(JSON, default=dict)  # over the base: bytes
    cancelled: Mapped[bool] = mapped_column(default=False)  # its user does not want it any more
    node: Mapped[str | None] = mapped_column(index=True)  # whose agent carries it out
    image: Mapped[str | None]  # what to start from, where that is in no repository of ours
    repository: Mapped[str | None]  # of the registry, where it is in one
    lease: Mapped[str | None]  # of the agent that works on it, or did so last
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime | None] = mapped_column(Moment)  # when it is tried again
    platform_version: Mapped[str | None]  # as its base's label says; None where that has none
    python_version: Mapped[str | None]  # likewise
    architecture: Mapped[str | None]  # of its image, as OCI names it
    job: Mapped[str | None]  # a rebase's: the job that installs
    rebase: Mapped[dict[str, object] | None] = mapped_column(JSON(none_as_null=True))  # its plan
    container: Mapped[str | None]  # a rebase's, where its job ran in one, or one that was left
    left_id: Mapped[str | None]  # of a stop that its server went on without: that start


class GrantRow(Base):
    """Who else may start from a checkpoint."""

    __tablename__ = "checkpoint_grants"

    checkpoint_id: Mapped[str] = mapped_column(ForeignKey("checkpoints.id"), primary_key=True)
    principal: Mapped[str] = mapped_column(primary_key=True, index=True)


class NodeRow(Base):
    """A node whose agent has asked for work."""

    __tablename__ = "nodes"

    name: Mapped[str] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(Moment)


class RemovalRow(Base):
    """An image in a registry that no checkpoint names any more; gone from here when it is gone there."""

    __tablename__ = "removals"

    repository: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    wanted_at: Mapped[datetime] = mapped_column(Moment, default=now)
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime | None] = mapped_column(Moment)  # when it is tried again
    message: Mapped[str | None]  # why it is not gone yet


class HoldRow(Base):
    """Who needs an environment: neither it nor its blobs go while the hold stands.

    `digest` is empty while the holder waits for the checkpoint to be made.
    """

    __tablename__ = "holds"

    holder: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True, default="", index=True)
    checkpoint: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)


def server_subject(row: ServerRow) -> str:
    """What events and the reconciler's queue call a server."""
    return f"{row.user}/{server_segment(row.name)}"


def running_as(session: Session, start_id: str) -> ServerRow | None:
    """The server that runs, or ran last and is not settled, as this start."""
    return session.scalar(select(ServerRow).where(ServerRow.running_id == start_id))


def change_server(session: Session, row: ServerRow, **values: object) -> None:
    """Write the values and the event; raises OvertakenError where the row changed meanwhile."""
    if not guarded_update(session, ServerRow, row.id, row.version, **values):
        raise OvertakenError("The server changed meanwhile.", hint="Look at it again.")
    session.refresh(row)
    record(session, "server", server_subject(row), "changed", [f"user:{row.user}"])


def change_checkpoint(
    session: Session, row: CheckpointRow, *, event: Change = "changed", **values: object
) -> None:
    """Write the values and the event; raises OvertakenError where the row changed meanwhile."""
    if not guarded_update(session, CheckpointRow, row.id, row.version, **values):
        raise OvertakenError("The checkpoint changed meanwhile.", hint="Look at it again.")
    session.refresh(row)
    record(session, "checkpoint", row.id, event, [f"user:{row.user}"])


def write_checkpoint(session: Session, row: CheckpointRow, values: Values) -> None:
    """`change_checkpoint` with the values in a mapping."""
    change_checkpoint(session, row, event="changed", **values)


def follow(session: Session, row: CheckpointRow, server: ServerRow, values: Values) -> None:
    """Let a server that is being saved say of itself what its checkpoint does."""
    if server.status == ServerStatus.SAVING and row.trigger != Trigger.REBASE and not row.left_id:
        told = {
            name: values[name] for name in ("reason", "message", "done", "total") if name in values
        }
        change_server(session, server, **told)


def add_checkpoint(session: Session, row: CheckpointRow) -> CheckpointRow:
    """Add a new checkpoint, with its event."""
    session.add(row)
    session.flush()
    record(session, "checkpoint", row.id, "created", [f"user:{row.user}"])
    return row


def find_server(session: Session, user: str, name: str) -> ServerRow | None:
    """The server's row, None where nothing of it was ever kept."""
    return session.scalar(select(ServerRow).where(ServerRow.user == user, ServerRow.name == name))


def servers_page(
    session: Session, user: str | None, after: str | None, limit: int
) -> list[ServerRow]:
    """Servers newest first, `limit` and one more, older than the id `after`; of all users for None."""
    query = select(ServerRow).order_by(ServerRow.id.desc()).limit(limit + 1)
    if user is not None:
        query = query.where(ServerRow.user == user)
    if after is not None:
        query = query.where(ServerRow.id < after)
    return list(session.scalars(query))


def unsettled_servers(session: Session) -> list[ServerRow]:
    """Servers that a reconciler has something to do with."""
    settled = (ServerStatus.FRESH, ServerStatus.SAVED)
    return list(session.scalars(select(ServerRow).where(ServerRow.status.not_in(settled))))


def checkpoints_page(
    session: Session, user: str | None, server: str | None, after: str | None, limit: int
) -> list[CheckpointRow]:
    """Checkpoints newest first, `limit` and one more; those in which nothing changed are not listed."""
    query = select(CheckpointRow).where(CheckpointRow.same_as.is_(None))
    if user is not None:
        query = query.where(CheckpointRow.user == user)
    if server is not None:
        query = query.where(CheckpointRow.server == server)
    if after is not None:
        query = query.where(CheckpointRow.id < after)
    return list(session.scalars(query.order_by(CheckpointRow.id.desc()).limit(limit + 1)))


def working_checkpoints(session: Session, server_id: str | None = None) -> list[CheckpointRow]:
    """Checkpoints that are not final, oldest first; of a server those that save it, no rebases."""
    query = select(CheckpointRow).where(CheckpointRow.status.in_(WORKING))
    if server_id is not None:
        saves = (CheckpointRow.trigger != Trigger.REBASE) & CheckpointRow.left_id.is_(None)
        query = query.where(CheckpointRow.server_id == server_id, saves)
    return list(session.scalars(query.order_by(CheckpointRow.id)))


def ready_checkpoints(session: Session, server_id: str) -> list[CheckpointRow]:
    """A server's ready checkpoints, newest first."""
    query = select(CheckpointRow).where(
        CheckpointRow.server_id == server_id, CheckpointRow.status == CheckpointStatus.READY
    )
    return list(session.scalars(query.order_by(CheckpointRow.id.desc())))


def of_server(session: Session, server_id: str) -> list[CheckpointRow]:
    """All checkpoints of a server, newest first."""
    query = select(CheckpointRow).where(CheckpointRow.server_id == server_id)
    return list(session.scalars(query.order_by(CheckpointRow.id.desc())))


def servers_with_history(session: Session) -> list[str]:
    """The ids of servers with more than one checkpoint."""
    query = select(CheckpointRow.server_id).group_by(CheckpointRow.server_id)
    return list(session.scalars(query.having(func.count() > 1)))


def owned_checkpoint(session: Session, user: str, digest: str) -> CheckpointRow | None:
    """The user's newest ready checkpoint of this digest."""
    return session.scalar(
        select(CheckpointRow)
        .where(
            CheckpointRow.user == user,
            CheckpointRow.digest == digest,
            CheckpointRow.status == CheckpointStatus.READY,
        )
        .order_by(CheckpointRow.same_as.is_(None).desc(), CheckpointRow.id.desc())
        .limit(1)
    )


def known_checkpoint(session: Session, user: str, digest: str) -> CheckpointRow | None:
    """The user's checkpoint of this digest, else anybody's: for a server that was let start from it."""
    return owned_checkpoint(session, user, digest) or next(iter(with_digest(session, digest)), None)


def with_digest(session: Session, digest: str) -> list[CheckpointRow]:
    """All ready checkpoints of this digest, newest first."""
    query = select(CheckpointRow).where(
        CheckpointRow.digest == digest, CheckpointRow.status == CheckpointStatus.READY
    )
    return list(session.scalars(query.order_by(CheckpointRow.id.desc())))


def repeats_of(session: Session, id_: str) -> list[CheckpointRow]:
    """Checkpoints before which nothing had changed since this one."""
    return list(session.scalars(select(CheckpointRow).where(CheckpointRow.same_as == id_)))


def is_known(session: Session, digest: str) -> bool:
    """Whether a ready checkpoint or a server stands for this digest, so that it may be held."""
    ready = select(CheckpointRow.id).where(
        CheckpointRow.digest == digest, CheckpointRow.status == CheckpointStatus.READY
    )
    kept = select(ServerRow.id).where(
        or_(ServerRow.environment == digest, ServerRow.continues_from == digest)
    )
    return session.scalar(ready.limit(1)) is not None or session.scalar(kept.limit(1)) is not None


def holds_of(session: Session, holder: str) -> list[HoldRow]:
    """What a holder holds or waits for."""
    return list(session.scalars(select(HoldRow).where(HoldRow.holder == holder)))


def release_holds(session: Session, holder: str) -> None:
    """Forget everything that a holder holds or waits for."""
    session.execute(delete(HoldRow).where(HoldRow.holder == holder))


def delete_checkpoints(session: Session, rows: Sequence[CheckpointRow]) -> None:
    """Delete rows, with their events; what they were in a registry is removed there later."""
    for row in rows:
        grants = delete(GrantRow).where(GrantRow.checkpoint_id == row.id)
        told = session.scalars(grants.returning(GrantRow.principal))
        record(session, "checkpoint", row.id, "removed", [f"user:{row.user}", *told])
        if row.repository is not None and row.digest is not None:
            session.merge(RemovalRow(repository=row.repository, digest=row.digest, attempts=0))
            record(session, "removal", f"{row.repository}@{row.digest}", "created", [])
        session.delete(row)


def stored_layers(session: Session, user: str) -> dict[str, int]:
    """The layers of a user's checkpoints over their bases: digest → bytes.

    Not those of a container's automatic one, of which there is one at most: the next save has all
    that is in it anew, and must not find its room taken.
    """
    found: dict[str, int] = {}
    query = select(CheckpointRow.layers).where(
        CheckpointRow.user == user,
        CheckpointRow.status == CheckpointStatus.READY,
        or_(CheckpointRow.trigger != Trigger.AUTOMATIC, CheckpointRow.node.is_(None)),
    )
    for layers in session.scalars(query):
        found.update(layers)
    return found
