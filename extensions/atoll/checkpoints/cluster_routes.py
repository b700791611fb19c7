"""The HTTP side of what only a cluster has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request

from atoll.checkpoints.models import Orphan
from atoll.kit.hub import ADMIN
from atoll.kit.paging import Page
from atoll.kit.web import User

if TYPE_CHECKING:
    from atoll.checkpoints.orphans import Orphans

router = APIRouter(prefix="/api/v1", tags=["cluster"])


@router.get("/orphans")
def list_orphans(request: Request, caller: User) -> Page[Orphan]:
    """Pods and volumes that belong to nobody any more; for administrators. Empty on one machine."""
    caller.require(ADMIN)
    orphans: Orphans | None = request.app.state.orphans
    return Page(items=orphans.all() if orphans is not None else [])
