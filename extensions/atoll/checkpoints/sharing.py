"""Environments that others may start from: by whom they are shared, with whom, and who may then use them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from atoll.checkpoints import store
from atoll.checkpoints.asked import adopt
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import CheckpointStatus, Principal, Trigger
from atoll.checkpoints.private import private
from atoll.checkpoints.store import CheckpointRow, GrantRow
from atoll.kit.errors import ConflictError
from atoll.kit.events import EVERYONE, record

_MOST: Final = 1000
"""With whom one checkpoint may be shared; more are a group."""


def share(session: Session, row: CheckpointRow, principal: Principal) -> None:
    """Let others start from a checkpoint. Raises ConflictError where there is nothing to start from,
    and where it seems to hold secrets: whoever starts from it could read them."""
    if row.status != CheckpointStatus.READY or row.digest is None:
        raise ConflictError(
            f"This checkpoint is {row.status}: there is nothing to share.",
            hint="Share one that is ready.",
        )
    if (holds := private(session, row.digest)) is not None:
        raise ConflictError(
            f"This checkpoint is not shared. {holds.message}",
            hint="Delete these files, save again, and share that checkpoint.",
        )
    known = of(session, row.id)
    if principal in known:
        return
    if len(known) >= _MOST:
        raise ConflictError(
            f"It is shared with {_MOST} users and groups already.", hint="Share it with a group."
        )
    session.add(GrantRow(checkpoint_id=row.id, principal=principal))
    adopt(session, row, Trigger.USER)
    session.flush()
    _tell(session, row, [*known, principal])


def take_back(session: Session, row: CheckpointRow, principal: Principal) -> None:
    """Have nobody more start from it by this grant; what was started from it goes on."""
    known = of(session, row.id)
    if principal not in known:
        return
    session.execute(
        delete(GrantRow).where(GrantRow.checkpoint_id == row.id, GrantRow.principal == principal)
    )
    _tell(session, row, known)


def of(session: Session, id_: str) -> list[str]:
    """With whom a checkpoint is shared."""
    return by_checkpoint(session, [id_]).get(id_, [])


def by_checkpoint(session: Session, ids: Iterable[str]) -> dict[str, list[str]]:
    """Checkpoint id → with whom it is shared, for those that are."""
    found: dict[str, list[str]] = {}
    query = select(GrantRow).where(GrantRow.checkpoint_id.in_(list(ids)))
    for row in session.scalars(query.order_by(GrantRow.principal)):
        found.setdefault(row.checkpoint_id, []).append(row.principal)
    return found


def page(
    session: Session, user: str, principals: Collection[str], after: str | None, limit: int
) -> list[CheckpointRow]:
    """What others share with these principals, newest first; `limit` and one more."""
    query = select(CheckpointRow).where(
        CheckpointRow.id.in_(_granted(principals)),
        CheckpointRow.user != user,
        CheckpointRow.status == CheckpointStatus.READY,
    )
    if after is not None:
        query = query.where(CheckpointRow.id < after)
    return list(session.scalars(query.order_by(CheckpointRow.id.desc()).limit(limit + 1)))


def readable(session: Session, row: CheckpointRow, principals: Collection[str]) -> bool:
    """Whether it is shared with one of them."""
    ready = row.status == CheckpointStatus.READY
    return ready and any(one in principals for one in of(session, row.id))


def usable(
    session: Session, user: str, digest: str, principals: Collection[str]
) -> CheckpointRow | None:
    """The checkpoint of this digest that the user may start from: an own one, or a shared one."""
    query = select(CheckpointRow).where(
        CheckpointRow.id.in_(_granted(principals)),
        CheckpointRow.digest == digest,
        CheckpointRow.status == CheckpointStatus.READY,
    )
    own = store.owned_checkpoint(session, user, digest)
    return own or session.scalar(query.order_by(CheckpointRow.id.desc()).limit(1))


def principals_of(ground: Ground, user: str, digest: str | None = None) -> frozenset[str]:
    """Whom grants may name to mean this user. The hub is asked for the groups, and where a digest is
    given only if it is shared with any. Not in a transaction. Raises UnavailableError."""
    own = frozenset({f"user:{user}", EVERYONE})
    if digest is not None:
        query = select(GrantRow.principal).join(
            CheckpointRow, CheckpointRow.id == GrantRow.checkpoint_id
        )
        with ground.database.read() as session:
            if store.owned_checkpoint(session, user, digest) is not None:
                return own
            granted = set(session.scalars(query.where(CheckpointRow.digest == digest)))
        if granted & own or not any(one.startswith("group:") for one in granted):
            return own
    return own | {f"group:{group}" for group in ground.hub.groups(user) or ()}


def _granted(principals: Collection[str]) -> Select[str]:
    return select(GrantRow.checkpoint_id).where(GrantRow.principal.in_(list(principals)))


def _tell(session: Session, row: CheckpointRow, principals: Iterable[str]) -> None:
    record(session, "checkpoint", row.id, "changed", sorted({f"user:{row.user}", *principals}))
