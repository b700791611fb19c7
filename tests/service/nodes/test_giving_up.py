"""Saves of containers that are cancelled, discarded, over the quota, or wait for their turn."""

from __future__ import annotations

import os

import pytest
from atoll.checkpoints import client, node_client
from atoll.checkpoints.models import CheckpointStatus, ServerStatus, StartRequest
from atoll.checkpoints.node_models import ImageSaved, Phase, ProgressReport, SaveOrder, SaveResult
from atoll.kit.errors import ConflictError

from .cluster import NODE, Cluster, eventually


def order(cluster: Cluster) -> SaveOrder:
    content = eventually(
        lambda: cluster.send(node_client.work(NODE, 0), cluster.token), lambda found: found
    )
    return SaveOrder.model_validate_json(content)


def test_a_save_nobody_has_begun_is_cancelled_at_once(cluster: Cluster) -> None:
    cluster.start()
    asked = cluster.save()

    cancelled = cluster.send(client.cancel(asked.id))

    assert (cancelled.status, cancelled.reason) == (CheckpointStatus.FAILED, "cancelled")
    assert cluster.no_work()


class TestAnAgentThatGetsNoFurther:
    """It tells so, and hears what became of its save, three times in a lease."""

    @pytest.fixture
    def settings(self) -> dict[str, object]:
        return {"nodes": {"lease_s": 6}}

    def test_an_agent_at_work_is_told_to_stop(self, cluster: Cluster) -> None:
        cluster.start()
        asked = cluster.save()
        (cluster.root / "hold-copying").touch()
        cluster.agent()
        eventually(cluster.phases, lambda phases: Phase.COPYING in phases)

        cluster.send(client.cancel(asked.id))

        assert cluster.final(asked.id).reason == "cancelled"
        assert cluster.server().status == ServerStatus.RUNNING


def test_the_save_of_a_stop_is_discarded_and_its_agent_loses_it(cluster: Cluster) -> None:
    container = cluster.start()
    (container / "notes").write_text("lost")
    with pytest.raises(ConflictError):
        cluster.send(client.discard("ada", ""))
    cluster.end()
    found = order(cluster)
    with pytest.raises(ConflictError):
        cluster.send(client.cancel(found.checkpoint))

    discarded = cluster.send(client.discard("ada", ""))

    assert (discarded.status, discarded.reason) == (ServerStatus.SAVED, "discarded")
    with pytest.raises(ConflictError):
        report = ProgressReport(lease=found.lease, phase=Phase.COPYING)
        cluster.send(node_client.progress(NODE, found.checkpoint, report), cluster.token)
    with pytest.raises(ConflictError):
        told = ImageSaved(outcome="saved", digest=found.parent, added=0)
        result = SaveResult(lease=found.lease, result=told)
        cluster.send(node_client.result(NODE, found.checkpoint, result), cluster.token)
    cluster.start()


class TestAQuota:
    """Of one megabyte."""

    @pytest.fixture
    def settings(self) -> dict[str, object]:
        return {"checkpoints": {"most_user_bytes": 1 << 20}}

    def test_a_save_that_exceeds_it_is_refused_by_the_agent(self, cluster: Cluster) -> None:
        container = cluster.start()
        (container / "big").write_bytes(os.urandom(2 << 20))
        cluster.agent()

        refused = cluster.final(cluster.save().id)

        assert (refused.status, refused.reason) == (CheckpointStatus.REFUSED, "quota_exceeded")
        assert "1.0 MB" in str(refused.message)
        assert "Delete or unpin" in str(refused.message)
        (container / "big").unlink()
        (container / "small").write_text("x")
        assert cluster.final(cluster.save().id).status == CheckpointStatus.READY


def test_who_waits_is_told_the_position_and_the_reason(cluster: Cluster) -> None:
    for user in ("ada", "bob", "cleo"):
        cluster.start(user)
    cluster.start("dora", node="node-2")
    assert cluster.no_work()  # its agent is there
    for user in ("ada", "bob", "cleo", "dora"):
        cluster.end(user)
    eventually(cluster.checkpoints, lambda found: len(found) == 4)
    first = order(cluster)

    found = {one.user: one for one in cluster.checkpoints()}

    assert found["ada"].id == first.checkpoint
    assert found["bob"].reason == "node_busy"
    assert "next" in str(found["bob"].message)
    assert "number 2" in str(cluster.server("cleo").message)
    assert found["dora"].reason == "agent_away"
    assert "node-2" in str(cluster.server("dora").message)
    started = cluster.send(client.start("dora", "", StartRequest(contained=True)), "hub")
    expected = "Your last stop waits to be saved: the agent of its node node-2 does not answer."
    assert started.message.startswith(expected)
