"""A start that cannot be: what a user may do instead is said in numbers, and offered on the page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from atoll.checkpoints.models import ServerStatus

from tests.kubernetes import simulated
from tests.kubernetes.hub_on_host import Host, on_host
from tests.platform.driver import eventually

pytestmark = [pytest.mark.kubernetes, pytest.mark.on_node, pytest.mark.timeout(300)]

_SIZE: Final = {"cpu": 0.1, "memory": "128M", "cpu_guarantee": 0.01}
SETTINGS: Final[dict[str, Any]] = {
    "hub": {
        "profiles": {
            "small": {"title": "Small", **_SIZE},
            "gpu": {"title": "GPU", "gpu": {"count": 1}, **_SIZE},
            "two": {"title": "Two", "gpu": {"count": 2}, **_SIZE},
            "deaf": {"title": "Deaf", "variables": {"FAIL": "deaf"}, **_SIZE},
        }
    }
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The platform, with an agent."""
    with on_host(tmp_path_factory.mktemp("ways-out"), SETTINGS) as host:
        host.begin("agent")
        yield host


def test_a_start_that_lacks_gpus_is_told_how_many_are_free_and_whom_to_ask(host: Host) -> None:
    with simulated.gpus(2, host.node):
        sam, tom = host.user("sam"), host.user("tom")
        sam.start(profile="gpu")
        asked = sam.pod["spec"]["containers"][0]["resources"]["limits"]
        assert asked["nvidia.com/gpu"] == "1"
        time.sleep(16)  # what was seen of nodes and pods counts for fifteen seconds
        page = tom.http.get("hub/spawn/tom").text
        assert "1 of 2 GPU free" in page
        assert "waits: 1 of 2 GPU free, not 2 on one node" in page
        refusal = tom.refusal(profile="two")
        assert "Insufficient nvidia.com/gpu" in refusal
        assert "GPUs: 1 of 2 GPU free, not 2 on one node." in refusal
        assert "Ask the operators." in refusal
        sam.stop()


def test_after_a_start_that_never_became_ready_the_environment_before_is_offered(
    host: Host,
) -> None:
    una = host.user("una")
    saves = []
    for text in ("works", "breaks"):
        una.start(profile="small")
        una.sh(f"echo {text} > /opt/environment/mine")
        una.stop()
        eventually(una.server, lambda server: server.status == ServerStatus.SAVED, 60)
        saves.append(una.server().environment)
    works, breaks = saves
    assert "did not answer within 30 s" in una.refusal(profile="deaf")
    found = eventually(una.server, lambda server: server.status == ServerStatus.SAVED, 60)
    assert found.failed_start
    assert found.environment == breaks
    page = una.http.get("hub/spawn").text
    assert "The last start did not become ready." in page
    assert "Go back to the one before it" in page
    assert f'value="{works}"' in page

    una.start(profile="small", environment=str(works))
    assert una.sh("cat /opt/environment/mine") == "works\n"
    assert not una.server().failed_start
    una.stop()
