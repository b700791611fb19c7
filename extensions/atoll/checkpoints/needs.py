"""Which environments are needed, and by whom: their images stay, and their checkpoints too."""

from __future__ import annotations

from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from atoll.checkpoints.models import ServerStatus
from atoll.checkpoints.store import WORKING, CheckpointRow, HoldRow, ServerRow

_LEFT: Final = select(CheckpointRow.image).where(
    CheckpointRow.left_id.is_not(None), CheckpointRow.status.in_(WORKING)
)
"""What the containers were started from that silent nodes still have to save."""


def digests_needed(session: Session) -> set[str]:
    """Digests that rows of any kind name: their images stay."""
    named = {digest for digest in session.scalars(select(CheckpointRow.digest)) if digest}
    return named | digests_held(session)


def digests_held(session: Session) -> set[str]:
    """Digests that somebody holds, that a server is at or will continue from, or what is left began from."""
    held = {digest for digest in session.scalars(select(HoldRow.digest)) if digest}
    held |= {image.rpartition("@")[2] for image in session.scalars(_LEFT) if image}
    return held.union(*map(digests_of, session.scalars(select(ServerRow))))


def digests_of(server: ServerRow) -> set[str]:
    """What a server is at, will continue from, or is being started from; a container needs its image."""
    named = {server.environment, server.continues_from}
    if server.image is not None and server.status not in (ServerStatus.FRESH, ServerStatus.SAVED):
        named.add(server.image.rpartition("@")[2])
    if server.start_id is not None:
        named.add(server.choice)
    return {digest for digest in named if digest is not None and digest.startswith("sha256:")}


def servers_at(session: Session, digest: str) -> list[ServerRow]:
    """Servers that are at this environment, will continue from it, or are being started from it."""
    query = select(ServerRow).where(
        or_(
            ServerRow.environment == digest,
            ServerRow.continues_from == digest,
            ServerRow.choice == digest,
            ServerRow.image.endswith(f"@{digest}"),
        )
    )
    return [row for row in session.scalars(query) if digest in digests_of(row)]


def holders_of(session: Session, digest: str) -> list[str]:
    """Who holds an environment."""
    return list(session.scalars(select(HoldRow.holder).where(HoldRow.digest == digest)))


def is_left(session: Session, digest: str) -> bool:
    """Whether a silent node still has to save what began from this environment."""
    return (
        session.scalar(_LEFT.where(CheckpointRow.image.endswith(f"@{digest}")).limit(1)) is not None
    )
