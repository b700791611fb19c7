"""A node is taken out of use: its servers are stopped one after the other, each saved before the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from atoll.checkpoints import node_client
from atoll.checkpoints.cordons import CordonReconciler
from atoll.checkpoints.models import ServerStatus
from atoll.checkpoints.node_models import NotSaved, Phase, ProgressReport, SaveOrder, SaveResult
from atoll.checkpoints.service import Checkpoints
from atoll.checkpoints.settings import CheckpointSettings
from atoll.kit.db import Database
from atoll.kit.home import Home
from atoll.kit.kube.objects import Metadata, Node, NodeSpec

from tests.databases import url_of

from .cluster import NODE, Cluster, eventually


@dataclass
class Drained:
    """Another service of the same platform, which looks after the cluster's nodes; and what it asked the hub for."""

    checkpoints: Checkpoints
    nodes: dict[str, Node] = field(default_factory=dict)
    stopped: list[tuple[str, str]] = field(default_factory=list)

    def stop_server(self, user: str, server: str) -> None:
        """As the hub's API."""
        self.stopped.append((user, server))

    def cordon(self, name: str, *, cordoned: bool = True) -> None:
        """As `kubectl cordon`."""
        self.nodes[f"/{name}"] = Node(metadata=Metadata(name=name), spec=NodeSpec(cordoned))

    def look(self, name: str = NODE, *, stops: bool = True) -> float | None:
        """Have the node looked at; when it wants to be looked at again."""
        reconciler = CordonReconciler(cast("Any", None), self.checkpoints, stops=stops)
        reconciler.informer = cast("Any", SimpleNamespace(snapshot=lambda: self.nodes))
        return asyncio.run(reconciler.reconcile(f"/{name}"))  # type: ignore[arg-type]


@pytest.fixture
def drained(cluster: Cluster, home: Home) -> Iterator[Drained]:
    database = Database(url_of(home))
    found = Drained(Checkpoints(database, home, CheckpointSettings(), cast("Any", None)))
    found.checkpoints.ground.hub = cast("Any", found)
    yield found
    database.close()


def test_the_next_server_is_stopped_when_the_one_before_is_saved(
    cluster: Cluster, drained: Drained
) -> None:
    for user, node in (("ada", NODE), ("bob", NODE), ("cleo", "node-2")):
        cluster.start(user, node=node)
    drained.cordon(NODE)
    drained.cordon("node-2", cordoned=False)

    assert drained.look("node-2") is None
    assert drained.look() is not None
    assert drained.look() is not None
    assert set(drained.stopped) == {("ada", "")}, "asked again while it runs, and nobody else"
    assert f"{NODE} is taken out of use" in str(cluster.server("ada").ended_why)

    cluster.end("ada")
    eventually(lambda: cluster.server("ada"), lambda found: found.status is ServerStatus.SAVING)
    drained.stopped.clear()
    assert drained.look() is not None
    assert drained.stopped == [], "the one before is not saved yet"

    cluster.agent()
    cluster.saved("ada")
    assert drained.look() is not None
    assert drained.stopped == [("bob", "")]
    cluster.end("bob")
    cluster.saved("bob")
    assert drained.look() is None
    assert cluster.server("cleo").status is ServerStatus.RUNNING


def quota_full(cluster: Cluster, order: SaveOrder) -> None:
    told = NotSaved(outcome="refused", code="quota_exceeded", message="The quota is used up.")
    result = SaveResult(lease=order.lease, result=told)
    cluster.send(node_client.result(NODE, order.checkpoint, result), cluster.token)


def registry_away(cluster: Cluster, order: SaveOrder) -> None:
    report = ProgressReport(
        lease=order.lease, phase=Phase.PUBLISHING, waits="The registry is away."
    )
    cluster.send(node_client.progress(NODE, order.checkpoint, report), cluster.token)


@pytest.mark.parametrize(
    ("trouble", "next_one"), [(quota_full, [("bob", "")]), (registry_away, [])]
)
def test_a_server_that_cannot_be_saved_holds_up_the_others_where_they_could_not_be_either(
    cluster: Cluster,
    drained: Drained,
    trouble: Callable[[Cluster, SaveOrder], None],
    next_one: list[tuple[str, str]],
) -> None:
    for user in ("ada", "bob", "cleo"):
        cluster.start(user)
    drained.cordon(NODE)
    cluster.end("ada")
    eventually(lambda: cluster.server("ada"), lambda found: found.status is ServerStatus.SAVING)
    order = cluster.work(wait_s=20)
    assert drained.look() is not None
    assert drained.stopped == [], "it is being saved"

    trouble(cluster, order)
    assert drained.look() is not None
    assert drained.stopped == next_one
    assert cluster.server("ada").status is ServerStatus.SAVING, "and is tried again"

    cluster.end("bob")
    eventually(lambda: cluster.server("bob"), lambda found: found.status is ServerStatus.SAVING)
    drained.stopped.clear()
    assert drained.look() is not None
    assert drained.stopped == [], "of those that can be saved still one after the other"


def test_nobody_is_stopped_where_the_operator_does_it_or_the_node_is_back(
    cluster: Cluster, drained: Drained
) -> None:
    cluster.start("ada")
    drained.cordon(NODE)
    assert drained.look(stops=False) is None
    drained.cordon(NODE, cordoned=False)
    assert drained.look() is None
    drained.nodes.clear()
    assert drained.look() is None
    assert drained.stopped == []
