"""Looks at running containers: what in them is not saved, told by their nodes' agents."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Final

from sqlalchemy import select

from atoll.checkpoints import store
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import Digest, ServerStatus, Trigger
from atoll.checkpoints.node_models import LookOrder, LookResult
from atoll.checkpoints.store import ServerRow
from atoll.kit.names import is_id

_PART: Final = 20
"""A look that took so long is followed by a pause so many times as long, on its whole node."""
_GLANCE_S: Final = 1.0  # how often the servers of a node are looked up
_LOST_S: Final = 120.0  # an agent that was told to look and never said what it saw


class Looks:
    """Which container is looked at next, and what was seen. Blocks. Each service has its own line."""

    def __init__(
        self, ground: Ground, every_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ground = ground
        self._every = every_s
        self._clock = clock
        self._lock = Lock()
        self._next: dict[str, float] = {}  # by node: not before
        self._looked: dict[str, float] = {}  # by server: when last

    def next(self, node: str) -> LookOrder | None:
        """The container of the node that was not looked at for longest; None where none is due."""
        now = self._clock()
        with self._lock:
            if now < self._next.get(node, 0.0):
                return None
            self._next[node] = now + _GLANCE_S
        with self._ground.database.read() as session:
            query = select(ServerRow).where(
                ServerRow.node == node,
                ServerRow.contained,
                ServerRow.status == ServerStatus.RUNNING,
            )
            working = store.working_checkpoints(session)
            busy = {
                row.server_id
                for row in working
                if row.trigger != Trigger.REBASE and row.left_id is None
            }
            rows = [row for row in session.scalars(query) if row.id not in busy]
        with self._lock:
            due = [row for row in rows if now - self._since(row, now) >= self._every]
            row = min(due, key=lambda row: self._looked.get(row.id, 0.0), default=None)
            if row is None or row.container is None or row.image is None:
                return None
            self._looked[row.id] = now
            self._next[node] = now + _LOST_S
        return LookOrder(
            server=row.id,
            container=row.container,
            environment=Digest(row.environment or row.image.rpartition("@")[2]),
            entries=self._ground.limits.entries,
        )

    def seen(self, node: str, told: LookResult) -> None:
        """Write down what was seen, where the server still is as it was."""
        now = self._clock()
        with self._lock:
            self._next[node] = now + max(_GLANCE_S, _PART * told.seconds)
        if told.changes is None or not is_id(told.server):
            return
        found = told.changes
        unsaved = found.model_dump(mode="json") if found.files or found.count else None
        with self._ground.database.read() as session:
            row = session.get(ServerRow, told.server)
            if row is None or row.node != node or row.unsaved == unsaved:
                return
        with self._ground.database.write() as session:
            row = session.get_one(ServerRow, told.server)
            image = (row.image or "").rpartition("@")[2]
            same = (row.environment or image) == told.environment
            if row.node == node and row.status == ServerStatus.RUNNING and same:
                store.change_server(session, row, unsaved=unsaved)

    def _since(self, row: ServerRow, now: float) -> float:
        """When it was looked at last; a server that is new here is given time to start."""
        return self._looked.setdefault(row.id, now)
