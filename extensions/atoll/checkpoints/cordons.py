"""Servers on nodes that were cordoned are stopped, and so saved, before the node is emptied."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from atoll.checkpoints.models import ServerStatus
from atoll.checkpoints.node_queue import AWAY
from atoll.checkpoints.nodes import HELD_UP
from atoll.checkpoints.service import Checkpoints
from atoll.checkpoints.store import unsettled_servers
from atoll.kit.kube.access import Access
from atoll.kit.kube.informer import Informer
from atoll.kit.kube.objects import Node

log = logging.getLogger(__name__)

_WAITED_FOR: Final = (
    None, AWAY, HELD_UP, "unavailable", "forbidden", "disk_full", "runtime_unavailable",
)  # fmt: skip
"""Reasons why no server can be saved now: to stop another would end its kernels for nothing."""
_LOOK_S: Final = 1.0  # until the next server of the node has its turn


class CordonReconciler:
    """Stops the servers of cordoned nodes, one at a time on each. Keys are /NODE."""

    name = "node"

    def __init__(self, access: Access, checkpoints: Checkpoints, *, stops: bool) -> None:
        self.informer = Informer(access, "/api/v1/nodes", Node)
        self._checkpoints = checkpoints
        self._stops = stops

    async def pending(self) -> Iterable[str]:
        """The nodes that are cordoned."""
        await self.informer.wait_synced()
        return [key for key, node in self.informer.snapshot().items() if node.spec.unschedulable]

    async def reconcile(self, key: str) -> float | None:
        """Stop the next server of the node: the one before it is saved by then, or says why not."""
        node = self.informer.snapshot().get(key)
        if node is None or not node.spec.unschedulable or not self._stops:
            return None
        return await asyncio.to_thread(self._step, node.metadata.name)

    def _step(self, node: str) -> float | None:
        ground = self._checkpoints.ground
        with ground.database.read() as session:
            rows = [row for row in unsettled_servers(session) if row.node == node]
        running = [row for row in rows if row.status == ServerStatus.RUNNING]
        if not running:
            return None
        # where it is the save of that server which fails, and is tried again, the others need not wait
        saving = [row for row in rows if row not in running and row.reason in _WAITED_FOR]
        if not saving:
            row = min(running, key=lambda row: row.id)
            log.info("stopped: its node %s is cordoned", node, extra={"server": row.id})
            ground.hub.stop_server(row.user, row.name)
            self._checkpoints.servers.tell_why(
                row,
                f"Your server was stopped, and saved, because its node {node} is taken out of use.",
            )
        return _LOOK_S
