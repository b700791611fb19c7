"""What is said of GPUs on the page on which a profile is chosen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from atoll.hub import scarcity
from atoll.hub.profiles import Profile
from atoll.hub.resources import Gpu
from atoll.hub.scarcity import Node, Scarcity, Seen
from kubernetes_asyncio.client.rest import ApiException

RESOURCE = "nvidia.com/gpu"


def _node(has: int, used: int = 0, labels: Mapping[str, str] | None = None) -> Node:
    return Node(f"n{has}", labels or {}, {RESOURCE: has}, {RESOURCE: used})


def _profile(count: int = 1, **values: Any) -> Profile:
    return Profile(title="GPU", gpu=Gpu(count=count), **values)


@pytest.mark.parametrize(
    ("count", "nodes", "waiting", "said"),
    [
        (1, [_node(4, 3)], [], "1 of 4 GPU free"),
        (1, [_node(4, 4)], [], "waits: all 4 GPU in use"),
        (1, [_node(4, 4)], ["ada", "bo"], "waits: all 4 GPU in use; ada and bo asked before you"),
        (
            1,
            [_node(4, 4)],
            ["ada", "bo", "cy", "di", "ed"],
            "waits: all 4 GPU in use; ada, bo, cy and 2 more asked before you",
        ),
        (2, [_node(2, 1), _node(3, 2)], [], "waits: 2 of 5 GPU free, not 2 on one node"),
        (8, [_node(4)], [], "cannot start: no node has 8 GPU"),
        (1, [], [], "no node has a GPU now: it starts once one is added"),
    ],
)
def test_how_gpus_stand_is_said_in_numbers(
    count: int, nodes: list[Node], waiting: list[str], said: str
) -> None:
    seen = Seen(nodes=tuple(nodes), waiting=tuple((user, RESOURCE) for user in waiting))
    assert scarcity.said(_profile(count), Gpu(count=count), seen) == said


def test_only_nodes_that_the_profile_may_use_count() -> None:
    seen = Seen(nodes=(_node(4), _node(2, 1, {"kind": "a100"})))
    profile = _profile(node_selector={"kind": "a100"})
    assert scarcity.said(profile, Gpu(), seen) == "1 of 2 GPU free"


class Answer:
    """An answer of the API server."""

    def __init__(self, body: object, status: int = 200) -> None:
        self.status, self.reason = status, ""
        self._body = json.dumps(body).encode()

    async def read(self) -> bytes:
        """Its body."""
        return self._body


class Api:
    """As much of KubeSpawner's client as is asked."""

    def __init__(self, status: int = 200) -> None:
        self.status, self.looks = status, 0

    async def list_node(self, **_: object) -> Answer:
        """Two nodes, one of them closed."""
        self.looks += 1
        nodes = [
            {"metadata": {"name": "a"}, "status": {"allocatable": {RESOURCE: "4", "cpu": "8"}}},
            {
                "metadata": {"name": "b"},
                "spec": {"unschedulable": True},
                "status": {"allocatable": {RESOURCE: "4"}},
            },
        ]
        return Answer({"items": nodes}, self.status)

    async def list_pod_for_all_namespaces(self, **_: object) -> Answer:
        """A job with two GPUs, and a server that waits for one."""
        two = {"resources": {"limits": {RESOURCE: "2"}}}
        one = {"resources": {"limits": {RESOURCE: "1"}, "requests": {"cpu": "1"}}}
        waits = {
            "labels": {"atoll.dev/server": "true"},
            "annotations": {"hub.jupyter.org/username": "bo"},
        }
        pods = [
            {"metadata": {"name": "job"}, "spec": {"nodeName": "a", "containers": [two]}},
            {"metadata": waits, "spec": {"containers": [one]}},
        ]
        return Answer({"items": pods}, self.status)


async def test_all_who_look_at_once_cost_one_look() -> None:
    api, seen = Api(), Scarcity()
    profiles = {"gpu": _profile(), "cpu": Profile(title="CPU")}
    said = await asyncio.gather(*(seen.of(profiles, api, 5) for _ in range(20)))
    assert said[0] == {"gpu": "2 of 4 GPU free"}
    assert api.looks == 1


async def test_what_was_seen_is_looked_at_again_after_a_while() -> None:
    now = 100.0
    api, seen = Api(), Scarcity(clock=lambda: now)
    await seen.of({"gpu": _profile()}, api, 5)
    now += 60
    assert await seen.of({"gpu": _profile(4)}, api, 5) == {
        "gpu": "waits: 2 of 4 GPU free, not 4 on one node; bo asked before you"
    }
    assert api.looks == 2


async def test_nobody_asks_before_themselves() -> None:
    found = await Scarcity().of({"gpu": _profile(4)}, Api(), 5, "bo")
    assert found == {"gpu": "waits: 2 of 4 GPU free, not 4 on one node"}


async def test_profiles_without_gpus_cost_nothing() -> None:
    api = Api()
    assert await Scarcity().of({"cpu": Profile(title="CPU")}, api, 5) == {}
    assert api.looks == 0


async def test_a_hub_that_may_not_see_nodes_says_nothing() -> None:
    with pytest.raises(ApiException):
        await scarcity.look(Api(403))
    assert await Scarcity().of({"gpu": _profile()}, Api(403), 5) == {}
