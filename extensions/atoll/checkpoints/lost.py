"""Servers whose pod is gone and that nobody saved: it was removed by force, or lost with its node."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Final, Protocol

from atoll.checkpoints.models import ServerStatus
from atoll.checkpoints.nodes import Nodes
from atoll.checkpoints.servers import Servers
from atoll.checkpoints.store import OvertakenError, ServerRow, server_subject
from atoll.kit.names import server_segment

log = logging.getLogger(__name__)

REMOVED: Final = "Your server's pod was removed from the cluster by force, or its node was lost."


class Pods(Protocol):
    """What is asked of the cluster; `pods.PodList` is it. Both block."""

    def gone(self, name: str) -> bool:
        """Whether the cluster has no pod of this name, for certain."""
        ...

    def node_gone(self, name: str | None) -> bool:
        """Whether the cluster has no node of this name, for certain."""
        ...


class Lost:
    """Finds them, and writes down what became of them. Blocks.

    A container without a pod may be on its node yet, so its save is tried; where the node is gone
    from the cluster too, it is given up, and a start that waits for it goes on from the last one.
    """

    def __init__(self, pods: Pods, servers: Servers, nodes: Nodes) -> None:
        self._pods = pods
        self._servers = servers
        self._nodes = nodes

    def look(self, there: Collection[str | None]) -> None:
        """Look at all servers but those of the starts whose pods are `there`."""
        for row in self._servers.in_containers():
            if row.running_id not in there:
                self._look(row)
        for save in self._nodes.left():
            pod = (save.container or "").split("/")
            unseen = save.left_id not in there and len(pod) > 1
            if unseen and self._pods.gone(pod[1]) and self._pods.node_gone(save.node):
                self._nodes.lost_left(save)

    def look_at(self, pod: str) -> None:
        """Look at the server of this pod, NAMESPACE/NAME, which was there and is no more."""
        for row in self._servers.in_containers(pod):
            self._look(row)

    def _look(self, row: ServerRow) -> None:
        assert row.container is not None  # noqa: S101  # asked for
        if not self._pods.gone(row.container.split("/")[1]):  # a list may be behind
            return
        try:
            if row.status == ServerStatus.RUNNING:
                segment = server_segment(row.name)
                self._servers.ended(row.user, segment, row.start_id, REMOVED)
                log.warning("its pod is gone", extra={"server": server_subject(row)})
            elif row.ended_why is None:  # the hub saw first that it ended, and does not know why
                self._servers.tell_why(row, REMOVED)
            if self._pods.node_gone(row.node):
                self._nodes.lost(row)
                log.warning(
                    "lost with its node %s", row.node, extra={"server": server_subject(row)}
                )
        except OvertakenError:
            return  # somebody else changed it first: another look
