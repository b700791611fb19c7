"""Agents and the service are killed, fall silent, come back: every save is done, once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from atoll.checkpoints import client, node_client
from atoll.checkpoints.models import CheckpointStatus, ServerStatus, StartRequest
from atoll.checkpoints.node_models import NotSaved, Phase, ProgressReport, SaveResult
from atoll.kit.errors import ConflictError
from atoll.kit.home import Home

from .cluster import NODE, Cluster, ServiceProcess, eventually


@pytest.fixture
def settings() -> dict[str, object]:
    return {"nodes": {"lease_s": 1}}


@pytest.mark.parametrize("phase", list(Phase))
def test_an_agent_killed_in_any_phase_is_followed_by_one_that_saves_it_once(
    cluster: Cluster, phase: Phase
) -> None:
    container = cluster.start()
    (container / "notes").write_text("kept")
    cluster.end()
    (cluster.root / f"die-{phase}").touch()
    first = cluster.agent()
    assert first.wait(30) == -9

    cluster.agent()
    saved = cluster.saved()

    [checkpoint] = cluster.checkpoints()
    assert checkpoint.digest == saved.environment
    assert cluster.files(checkpoint.digest) == {"notes"}
    assert cluster.began() == [container.name] * 2


def test_a_save_whose_agent_fell_silent_says_so_and_is_offered_again(cluster: Cluster) -> None:
    cluster.start()
    cluster.end()
    first = eventually_ordered(cluster)

    waiting = eventually(
        lambda: cluster.checkpoint(first.checkpoint),
        lambda found: found.status == CheckpointStatus.REQUESTED,
    )
    assert waiting.reason == "agent_away"
    assert "fell silent" in str(cluster.server().message)
    second = eventually_ordered(cluster)
    assert second.checkpoint == first.checkpoint
    assert second.lease != first.lease
    with pytest.raises(ConflictError):
        report = ProgressReport(lease=first.lease, phase=Phase.COPYING)
        cluster.send(node_client.progress(NODE, first.checkpoint, report), cluster.token)


def test_what_holds_a_save_up_is_told_to_its_user_until_it_goes_on(cluster: Cluster) -> None:
    cluster.start()
    cluster.end()
    order = eventually_ordered(cluster)

    def told(**more: object) -> None:
        report = ProgressReport.model_validate({"lease": order.lease, "phase": "scanning", **more})
        cluster.send(node_client.progress(NODE, order.checkpoint, report), cluster.token)

    told(waits="The registry cannot be reached.")
    said = "Not saved yet: The registry cannot be reached. It is tried again; nothing is lost."
    checkpoint, server = cluster.checkpoint(order.checkpoint), cluster.server()
    assert (checkpoint.reason, checkpoint.message) == ("held_up", said)
    assert (server.reason, server.message) == ("held_up", said)
    waiting = cluster.send(client.start("ada", "", StartRequest(contained=True)), "hub")
    assert waiting.message == said
    told(phase="copying", done=1_000_000, total=2_000_000)
    assert cluster.checkpoint(order.checkpoint).reason is None
    assert cluster.server().message == "saving your environment: 1.0 MB of 2.0 MB"


def test_progress_keeps_the_lease_and_is_seen(cluster: Cluster) -> None:
    cluster.start()
    cluster.end()
    (cluster.root / "hold-copying").touch()
    cluster.agent()

    copying = eventually(
        cluster.checkpoints, lambda all_: all_ and all_[0].status == CheckpointStatus.COPYING
    )
    eventually(cluster.no_work, bool)
    held = cluster.connections  # nothing else asks meanwhile
    assert held
    for _ in range(20):  # more than the lease, by then renewed twice
        assert cluster.checkpoint(copying[0].id).status == CheckpointStatus.COPYING
        assert cluster.no_work(), "it was offered to somebody else"
    (cluster.root / "hold-copying").unlink()
    cluster.saved()
    assert len(cluster.began()) == 1


def test_a_container_that_is_gone_holds_up_its_server_no_longer(cluster: Cluster) -> None:
    cluster.start().rmdir()
    cluster.end()
    cluster.agent()

    saved = cluster.saved()

    [checkpoint] = cluster.checkpoints()
    assert checkpoint.status == CheckpointStatus.FAILED
    assert saved.reason == checkpoint.reason == "container_not_found"
    assert "What was changed since the last save is lost" in str(saved.message)
    assert len(cluster.began()) == 3
    cluster.start()


def test_a_failure_is_told_and_tried_again(cluster: Cluster) -> None:
    cluster.start()
    cluster.end()
    order = eventually_ordered(cluster)
    told = NotSaved(outcome="failed", code="runtime_unavailable", message="It is away.")
    result = SaveResult(lease=order.lease, result=told)
    cluster.send(node_client.result(NODE, order.checkpoint, result), cluster.token)

    server = cluster.server()
    assert (server.status, server.reason) == (ServerStatus.SAVING, "runtime_unavailable")
    assert "tried again" in str(server.message)
    assert eventually_ordered(cluster).checkpoint == order.checkpoint


class TestTheServiceAway:
    """The service is a process here, killed while an agent works."""

    @pytest.fixture
    def service(self, home: Home) -> Iterator[ServiceProcess]:
        found = ServiceProcess(home, {"nodes": {"name": NODE, "lease_s": 1}})
        found.start()
        yield found
        found.kill()

    def test_the_result_of_a_save_arrives_when_the_service_is_back(
        self, service: ServiceProcess, home: Home
    ) -> None:
        cluster = Cluster(home, service.url)
        container = cluster.start()
        (container / "notes").write_text("kept")
        cluster.end()
        (cluster.root / "hold-publishing").touch()
        cluster.agent()
        eventually(cluster.phases, lambda phases: Phase.PUBLISHING in phases)
        service.kill()
        (cluster.root / "hold-publishing").unlink()

        service.start()
        saved = cluster.saved()

        assert cluster.files(saved.environment) == {"notes"}
        assert len(cluster.began()) == 1
        cluster.close()


def eventually_ordered(cluster: Cluster):  # type: ignore[no-untyped-def]  # a SaveOrder
    def look() -> bytes:
        return cluster.send(node_client.work(NODE, 0), cluster.token)

    from atoll.checkpoints.node_models import SaveOrder

    return SaveOrder.model_validate_json(eventually(look, bool))
