"""An agent that is told to end does so at once, whatever it is about, and what it was about goes on after it."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import replace

import pytest
from atoll.checkpoints.node_models import Phase

from .cluster import Cluster, eventually

ENDED_S = 6.0  # well below the ten seconds that a question to the service may take
"""How long an agent may take to end that is told to."""
BEGUN_ANEW_S = 20.0
"""Much less than a lease: nobody waits until one lapses."""


@pytest.fixture
def settings() -> dict[str, object]:
    return {"nodes": {"lease_s": 120, "look_every_s": 0.1}}


def end(agent: subprocess.Popen[bytes]) -> None:
    """As Kubernetes ends it."""
    agent.terminate()
    assert agent.wait(ENDED_S) == 0


def saved_by_another(cluster: Cluster) -> None:
    """An agent that comes next saves the server, with its notes."""
    cluster.agent()
    assert cluster.files(cluster.saved(within_s=BEGUN_ANEW_S).environment) == {"notes"}


@pytest.mark.parametrize("phase", list(Phase))
def test_a_save_is_given_back_in_any_phase_and_begun_anew(cluster: Cluster, phase: Phase) -> None:
    container = cluster.start()
    (container / "notes").write_text("kept")
    cluster.end()
    (cluster.root / f"hold-{phase}").touch()
    first = cluster.agent()
    eventually(cluster.phases, lambda phases: phase in phases)

    end(first)

    [checkpoint] = cluster.checkpoints()
    assert checkpoint.reason == "agent_ended"
    (cluster.root / f"hold-{phase}").unlink()
    saved_by_another(cluster)
    assert cluster.began() == [container.name] * 2


def test_a_look_is_left_behind(cluster: Cluster) -> None:
    container = cluster.start()
    (cluster.root / "hold-looking").touch()
    first = cluster.agent()
    eventually((cluster.root / "looks").exists, bool)

    end(first)

    (cluster.root / "hold-looking").unlink()
    (container / "notes").write_text("kept")
    cluster.end()
    saved_by_another(cluster)


class TestWithNothingToDo:
    @pytest.fixture
    def settings(self) -> dict[str, object]:
        return {"nodes": {"lease_s": 120}}

    def test_it_takes_no_save_with_it(self, cluster: Cluster) -> None:
        cluster.start("bo")
        cluster.end("bo")
        first = cluster.agent()
        cluster.saved("bo")  # now it waits for more

        end(first)

        (cluster.start() / "notes").write_text("kept")
        cluster.end()
        saved_by_another(cluster)

    def test_it_does_not_wait_for_a_service_that_says_nothing(self, cluster: Cluster) -> None:
        with socket.create_server(("127.0.0.1", 0)) as ear:
            deaf = replace(cluster, url=f"http://127.0.0.1:{ear.getsockname()[1]}/")
            first = deaf.agent()
            with ear.accept()[0]:
                end(first)
