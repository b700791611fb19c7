"""A node is gone for good, and with it a server that nobody could save: what there is goes on, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
from atoll.checkpoints import client, store
from atoll.checkpoints.models import (
    CheckpointStatus,
    Preparation,
    Server,
    ServerStatus,
    StartRequest,
    Trigger,
)
from atoll.checkpoints.pods import PodReconciler
from atoll.checkpoints.service import Checkpoints
from atoll.checkpoints.settings import CheckpointSettings
from atoll.kit.db import Database
from atoll.kit.home import Home

from tests.databases import url_of

from .cluster import Cluster, eventually

GO_ON = StartRequest(contained=True)


@pytest.fixture
def settings() -> dict[str, object]:
    return {"checkpoints": {"save_every_s": 1}, "nodes": {"look_every_s": 0.1, "lease_s": 1}}


@dataclass
class Gone:
    """Pods of a cluster that has none any more; `node` is whether the node is gone too."""

    node: bool = True

    @property
    def informer(self) -> Any:
        async def synced() -> None:
            pass

        return SimpleNamespace(wait_synced=synced, snapshot=dict)

    def gone(self, name: str) -> bool:
        return name == "jupyter-ada"

    def node_gone(self, name: str | None) -> bool:
        return self.node and name == "node-1"


@dataclass
class Watch:
    """Another service of the same platform, which looks after the cluster's pods."""

    checkpoints: Checkpoints
    pods: Gone

    def look(self) -> None:
        reconciler = PodReconciler(cast("Any", self.pods), self.checkpoints)
        asyncio.run(reconciler.pending())  # type: ignore[arg-type]  # a coroutine it is


@pytest.fixture
def watch(cluster: Cluster, home: Home) -> Iterator[Watch]:
    database = Database(url_of(home))
    checkpoints = Checkpoints(database, home, CheckpointSettings(), cast("Any", None))
    yield Watch(checkpoints, Gone())
    database.close()


def lost(cluster: Cluster, watch: Watch, *, saved: bool = True) -> str | None:
    """A server whose node has gone; the environment that it was saved as before."""
    container = cluster.start(save_every_s=None if saved else 0)
    agent = cluster.agent()
    if saved:
        (container / "notes").write_text("kept")
        eventually(cluster.server, lambda found: found.environment is not None)
    agent.kill()
    agent.wait()
    with watch.checkpoints.ground.database.write() as session:
        row = store.find_server(session, "ada", "")
        assert row is not None
        store.change_server(session, row, container="servers/jupyter-ada/notebook")
    watch.look()
    eventually(cluster.server, lambda found: found.status is ServerStatus.SAVING)
    return cluster.server().environment


def given_up(cluster: Cluster, watch: Watch) -> Server:
    def look() -> Server:
        watch.look()
        return cluster.server()

    return eventually(look, lambda found: found.status is ServerStatus.SAVED)


def prepared(cluster: Cluster) -> Preparation:
    return eventually(
        lambda: cluster.send(client.preparation("ada", ""), "hub"), lambda found: found.ready
    )


def test_its_server_goes_on_from_the_automatic_checkpoint_and_says_so(
    cluster: Cluster, watch: Watch
) -> None:
    environment = lost(cluster, watch)

    server = given_up(cluster, watch)

    assert (server.reason, server.environment) == ("node_lost", environment)
    told = str(server.message)
    assert "What was changed since the last save is lost" in told
    assert "when it was saved by itself" in told
    assert "its node was lost" in str(server.ended_why)
    [failed, kept] = cluster.checkpoints()
    assert (failed.trigger, failed.status) == (Trigger.STOP, CheckpointStatus.FAILED)
    assert (kept.trigger, kept.digest, kept.current) == (Trigger.AUTOMATIC, environment, True)
    cluster.send(client.start("ada", "", GO_ON), "hub")
    found = prepared(cluster)
    assert (found.environment, found.fallback) == (environment, told)


def test_who_waits_for_the_start_is_told_as_well(cluster: Cluster, watch: Watch) -> None:
    environment = lost(cluster, watch)
    waiting = cluster.send(client.start("ada", "", GO_ON), "hub")
    assert not waiting.ready

    watch.look()

    found = prepared(cluster)
    assert found.environment == environment
    assert "when it was saved by itself" in str(found.fallback)


def test_where_nothing_was_saved_before_that_is_said(cluster: Cluster, watch: Watch) -> None:
    assert lost(cluster, watch, saved=False) is None

    server = given_up(cluster, watch)

    assert "as it was when the server was started" in str(server.message)


def test_nothing_is_given_up_while_the_node_may_come_back(cluster: Cluster, watch: Watch) -> None:
    watch.pods.node = False
    lost(cluster, watch)

    for _ in range(3):
        watch.look()

    assert cluster.server().status is ServerStatus.SAVING


def test_who_starts_afresh_is_told_nothing_of_it(cluster: Cluster, watch: Watch) -> None:
    lost(cluster, watch)
    given_up(cluster, watch)

    cluster.send(client.start("ada", "", StartRequest(contained=True, environment="base")), "hub")

    assert prepared(cluster).fallback is None
