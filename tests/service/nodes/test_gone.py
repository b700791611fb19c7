"""Pods that are gone without their servers being saved: what is saved all the same, and what is told."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from atoll.checkpoints import client
from atoll.checkpoints.lost import REMOVED
from atoll.checkpoints.models import (
    BASE,
    CheckpointStatus,
    Place,
    Preparation,
    ServerStatus,
    StartRequest,
)
from atoll.checkpoints.store import NodeRow
from atoll.hub.options import choices
from atoll.kit.db import Database
from atoll.kit.errors import ConflictError, UnavailableError
from atoll.kit.http import Connection
from sqlalchemy import update

from tests.databases import url_of

from .cluster import NODE, Cluster, eventually
from .kubernetes import NAME, SERVERS, Kubernetes

LOOKED_AT_S = 11.0  # the service looks for pods that are gone every ten seconds


@pytest.fixture
def settings(kubernetes: Kubernetes) -> dict[str, object]:
    """The service looks after the pods of that cluster."""
    kubernetes.node()
    return {"nodes": {"lease_s": 3}, "kubernetes": kubernetes.section}


@dataclass
class Ada:
    """Her server, by all who are about it: hub, kubelet, agent."""

    cluster: Cluster
    kubernetes: Kubernetes
    start: Preparation
    container: Path

    def released(self) -> bool:
        """As the atoll-hold of her pod: whether it may go."""
        with Connection(self.cluster.url, self.start.hold_token) as service:
            return service.send(client.hold(self.start.start_id)).release

    def notice(self) -> str:
        """What the page says on which she starts it again."""
        server, listed = self.cluster.server(), self.cluster.checkpoints()
        return str(choices(server, listed, datetime.now(UTC))["notice"])


def started(cluster: Cluster, kubernetes: Kubernetes, name: str = NAME) -> Ada:
    """Her server is started as a pod, which has a container with a directory."""
    cluster.send(client.start("ada", "", StartRequest(contained=True)), "hub")
    return in_pod(cluster, kubernetes, name)


def in_pod(cluster: Cluster, kubernetes: Kubernetes, name: str = NAME) -> Ada:
    """The start that was asked for is carried out."""
    found = eventually(
        lambda: cluster.send(client.preparation("ada", ""), "hub"), lambda found: found.ready
    )
    kubernetes.pod(found.start_id, name)
    container = f"{SERVERS}/{name}/notebook"
    (cluster.root / container).mkdir(parents=True)
    image = f"registry.example/atoll/notebook@{found.environment or cluster.base}"
    place = Place(node=NODE, container=container, image=image)
    cluster.send(client.started("ada", "", found.start_id, place), "hub")
    return Ada(cluster, kubernetes, found, cluster.root / container)


@pytest.fixture
def ada(cluster: Cluster, kubernetes: Kubernetes) -> Ada:
    return started(cluster, kubernetes)


def test_a_pod_that_is_removed_by_force_is_held_by_its_hook_until_it_is_saved(
    cluster: Cluster, ada: Ada
) -> None:
    (ada.container / "notes").write_text("kept")
    assert ada.released()  # nobody deletes it, so that whatever ends it keeps its layer
    ada.kubernetes.remove()
    eventually(ada.released, lambda released: not released)
    assert cluster.server().status in (ServerStatus.UNSAVED, ServerStatus.SAVING)
    assert cluster.server().ended_why == REMOVED
    assert not ada.released()

    cluster.agent()
    saved = cluster.saved()

    assert ada.released()
    assert cluster.files(saved.environment) == {"notes"}
    assert REMOVED in ada.notice()
    assert "lost" not in ada.notice().replace(REMOVED, ""), "nothing of it is"


def test_it_is_seen_without_the_hook_and_whoever_says_first_that_it_ended(
    cluster: Cluster, ada: Ada
) -> None:
    ada.kubernetes.remove()
    cluster.end()  # the hub, which knows no reason
    found = eventually(cluster.server, lambda one: one.ended_why is not None)
    assert found.ended_why == REMOVED


def test_where_the_node_has_removed_the_container_too_the_loss_is_told_and_the_last_save_is_next(
    cluster: Cluster, kubernetes: Kubernetes, ada: Ada
) -> None:
    cluster.agent()
    (ada.container / "early").write_text("kept")
    early = cluster.final(cluster.save().id)
    assert early.status == CheckpointStatus.READY
    (ada.container / "late").write_text("lost")
    ada.container.rename(ada.container.with_name("gone"))
    kubernetes.remove()

    saved = cluster.saved()

    assert saved.environment == early.digest
    assert cluster.files(saved.environment) == {"early"}
    assert "What was changed since the last save is lost" in str(saved.message)
    assert REMOVED in ada.notice()
    assert "is lost" in ada.notice()
    assert cluster.checkpoints()[0].status == CheckpointStatus.FAILED
    again = started(cluster, kubernetes, "jupyter-ada-2")
    assert again.start.environment == early.digest
    assert cluster.server().ended_why is None


def test_a_start_that_waits_for_a_lost_node_goes_on_when_that_is_removed(
    cluster: Cluster, kubernetes: Kubernetes, ada: Ada
) -> None:
    agent = cluster.agent()
    (ada.container / "early").write_text("kept")
    early = cluster.final(cluster.save().id)
    agent.kill()
    agent.wait()
    (ada.container / "late").write_text("lost")
    kubernetes.remove()
    eventually(cluster.server, lambda one: one.status == ServerStatus.SAVING)
    cluster.send(client.start("ada", "", StartRequest(contained=True)), "hub")
    kubernetes.lose_node()

    found = eventually(
        lambda: cluster.send(client.preparation("ada", ""), "hub"), lambda found: found.ready, 60
    )

    assert found.environment == early.digest
    assert found.fallback is not None
    assert f"gone with its node {NODE}" in found.fallback
    newest = cluster.checkpoints()[0]
    assert (newest.status, newest.reason) == (CheckpointStatus.FAILED, "node_lost")
    in_pod(cluster, kubernetes, "jupyter-ada-2")
    assert cluster.server().status == ServerStatus.RUNNING


def test_a_node_that_stays_silent_ends_its_servers_and_what_they_have_is_saved_when_it_is_back(
    cluster: Cluster, kubernetes: Kubernetes, ada: Ada
) -> None:
    agent = cluster.agent()
    (ada.container / "early").write_text("kept")
    assert cluster.final(cluster.save().id).status == CheckpointStatus.READY
    agent.kill()
    agent.wait()
    (ada.container / "late").write_text("kept too")
    kubernetes.silence(True)
    assert cluster.server().status == ServerStatus.RUNNING, "it may answer in a minute"
    kubernetes.delete()  # by the cluster, after five

    told = eventually(cluster.server, lambda one: one.ended_why is not None)

    assert told.status in (ServerStatus.UNSAVED, ServerStatus.SAVING)
    assert f"its node {NODE} does not answer since 30 Nov, 14:03 UTC" in str(told.ended_why)
    assert str(told.ended_why) in ada.notice()
    assert "What was saved until today" in ada.notice()
    kubernetes.silence(False)
    assert not ada.released(), "its kubelet ends it now, as it was told, and asks"
    cluster.agent()
    assert cluster.files(cluster.saved().environment) == {"early", "late"}
    assert ada.released()


@pytest.fixture
def gone_on(cluster: Cluster, kubernetes: Kubernetes, ada: Ada) -> Ada:
    """Her server of before, whose node is silent; she has started another environment elsewhere."""
    (ada.container / "late").write_text("kept")
    kubernetes.silence(True)
    kubernetes.delete()
    told = eventually(cluster.server, lambda one: f"node {NODE} does not" in str(one.message))
    assert "To start without it, choose an earlier environment" in str(told.message)
    fresh = StartRequest(contained=True, environment=BASE)
    cluster.send(client.start("ada", "", fresh), "hub")
    again = in_pod(cluster, kubernetes, "jupyter-ada-2")
    assert "it is saved beside the others" in str(again.start.fallback)
    assert cluster.server().status == ServerStatus.RUNNING
    return ada


def test_who_starts_something_else_meanwhile_finds_what_the_node_had_beside_it_later(
    cluster: Cluster, kubernetes: Kubernetes, gone_on: Ada
) -> None:
    [waits] = cluster.checkpoints()
    assert (waits.status, waits.reason) == (CheckpointStatus.REQUESTED, "agent_away")
    kubernetes.silence(False)
    assert not gone_on.released(), "its pod is held, although nobody waits"
    cluster.agent()

    saved = cluster.final(waits.id)

    assert (saved.status, saved.note) == (CheckpointStatus.READY, f"left on {NODE}")
    assert (saved.left, saved.current) == (True, False)
    assert cluster.files(saved.digest) == {"late"}
    assert gone_on.released()
    server = cluster.server()
    assert (server.status, server.environment) == (ServerStatus.RUNNING, None)
    cluster.end()
    kubernetes.ended("jupyter-ada-2")
    assert cluster.saved().environment is None, "nothing changed in that one"


def not_seen_lately(cluster: Cluster) -> None:
    """As if the nodes' agents had been silent for long."""
    database = Database(url_of(cluster.home))
    with database.write() as session:
        session.execute(update(NodeRow).values(seen_at=datetime(2026, 1, 1, tzinfo=UTC)))
    database.close()


def test_what_is_left_on_a_node_is_as_private_as_what_it_began_from(
    cluster: Cluster, kubernetes: Kubernetes, ada: Ada
) -> None:
    agent = cluster.agent()
    (ada.container / ".netrc").write_text("machine x login ada password y")
    cluster.end()
    kubernetes.ended(NAME)
    cluster.saved()
    [first] = cluster.checkpoints()
    assert first.reason == "secrets"
    again = started(cluster, kubernetes, "jupyter-ada-2")
    agent.kill()
    agent.wait()
    not_seen_lately(cluster)
    (again.container / "late").write_text("kept")
    kubernetes.silence(True)
    kubernetes.delete("jupyter-ada-2")
    eventually(cluster.server, lambda one: f"node {NODE} does not" in str(one.message))
    fresh = StartRequest(contained=True, environment=BASE)
    cluster.send(client.start("ada", "", fresh), "hub")
    in_pod(cluster, kubernetes, "jupyter-ada-3")

    with pytest.raises(ConflictError, match="on a node that does not answer"):
        cluster.send(client.delete(first.id))
    kubernetes.silence(False)
    cluster.agent()
    left = cluster.final(cluster.checkpoints()[0].id)

    assert (left.status, left.left, left.reason) == (CheckpointStatus.READY, True, "secrets")


def test_what_was_left_on_a_node_that_is_gone_for_good_is_said_to_be_lost(
    cluster: Cluster, kubernetes: Kubernetes, gone_on: Ada
) -> None:
    [waits] = cluster.checkpoints()
    kubernetes.lose_node()
    kubernetes.collect()

    over = cluster.final(waits.id)

    assert (over.status, over.reason) == (CheckpointStatus.FAILED, "node_lost")
    assert "is lost" in str(over.message)
    assert cluster.server().status == ServerStatus.RUNNING


def test_what_was_left_can_be_given_up(cluster: Cluster, gone_on: Ada) -> None:
    [waits] = cluster.checkpoints()
    cluster.send(client.cancel(waits.id))
    assert cluster.final(waits.id).reason == "cancelled"
    assert gone_on.released()


def test_nothing_is_given_up_while_the_node_or_the_pod_is_there_or_nobody_can_tell(
    cluster: Cluster, kubernetes: Kubernetes, ada: Ada
) -> None:
    kubernetes.away(True)
    with pytest.raises(UnavailableError):
        ada.released()
    assert cluster.server().status == ServerStatus.RUNNING
    kubernetes.away(False)
    eventually(lambda: held(ada), bool)

    cluster.end()
    kubernetes.ended()
    told = eventually(cluster.server, lambda one: f"node {NODE} does not" in str(one.message))
    assert told.status == ServerStatus.SAVING
    kubernetes.lose_node()
    time.sleep(LOOKED_AT_S)
    assert cluster.server().status == ServerStatus.SAVING, "its pod is there"
    kubernetes.remove()
    saved = cluster.saved()
    assert f"gone with its node {NODE}" in str(saved.message)
    assert saved.environment is None


def held(ada: Ada) -> bool:
    """Whether atoll-hold is answered."""
    try:
        ada.released()
    except UnavailableError:
        return False
    return True
