"""Environments that seem to hold secrets: nobody else starts from them, nor from what has their layers still."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy.orm import Session

from atoll.checkpoints import store
from atoll.checkpoints.store import CheckpointRow

SECRETS: Final = "secrets"
"""The reason of a checkpoint that is ready, and for its user alone."""


def private(session: Session, digest: str) -> CheckpointRow | None:
    """The checkpoint that says that this environment seems to hold secrets."""
    found = [row for row in store.with_digest(session, digest) if row.reason == SECRETS]
    return found[-1] if found else None  # the first one: the others were made with nothing changed


def still_private(session: Session, parent: str, layers: Collection[str]) -> CheckpointRow | None:
    """The same of what a container was started from, if what was saved of it has layers of that one."""
    row = private(session, parent)
    return row if row is not None and not row.layers.keys().isdisjoint(layers) else None
