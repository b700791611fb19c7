"""Why a profile cannot start now: what nodes have and pods ask for, looked at when somebody chooses.

All pods of a cluster are many megabytes, so they are asked for only where a profile wants GPUs, and
what was seen counts for some seconds. Where the hub may not see nodes, nothing is said.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from kubernetes_asyncio.client.rest import ApiException

from atoll.hub.pod_calls import AWAY
from atoll.hub.pod_manifest import SERVER_LABEL
from atoll.hub.profiles import Profile
from atoll.hub.resources import Gpu
from atoll.kit.kube.objects import Metadata, Struct

_FRESH_S: Final = 15.0
_NAMED: Final = 3  # of those who wait


class _Resources(Struct, frozen=True):
    requests: dict[str, str] = msgspec.field(default_factory=dict)
    limits: dict[str, str] = msgspec.field(default_factory=dict)


class _Container(Struct, frozen=True):
    resources: _Resources = _Resources()


class _PodSpec(Struct, frozen=True):
    node_name: str = ""
    containers: tuple[_Container, ...] = ()


class _Pod(Struct, frozen=True):
    metadata: Metadata = Metadata()
    spec: _PodSpec = _PodSpec()


class _Pods(Struct, frozen=True):
    items: tuple[_Pod, ...] = ()


class _NodeSpec(Struct, frozen=True):
    unschedulable: bool = False


class _NodeStatus(Struct, frozen=True):
    allocatable: dict[str, str] = msgspec.field(default_factory=dict)


class _Node(Struct, frozen=True):
    metadata: Metadata = Metadata()
    spec: _NodeSpec = _NodeSpec()
    status: _NodeStatus = _NodeStatus()


class _Nodes(Struct, frozen=True):
    items: tuple[_Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """What a node has, and what of it is asked for."""

    name: str
    labels: Mapping[str, str]
    has: Mapping[str, int]  # extended resources, such as nvidia.com/gpu
    used: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """The cluster's extended resources at one moment."""

    nodes: tuple[Node, ...] = ()
    waiting: tuple[tuple[str, str], ...] = ()  # (user, resource) of servers that no node took yet
    known: bool = True


@dataclass(slots=True)
class Scarcity:
    """What profiles lack. One for the whole hub, since what it sees is the same for all users."""

    clock: Callable[[], float] = time.monotonic
    _seen: Seen = field(default_factory=Seen)
    _at: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def of(
        self, profiles: Mapping[str, Profile], api: Any, timeout_s: float, asks: str = ""
    ) -> dict[str, str]:
        """By profile, how many of its GPUs are free, or why it cannot start now, for who `asks`."""
        wanted = {name: gpu for name, one in profiles.items() if (gpu := _gpu(one)) is not None}
        if not wanted:
            return {}
        async with self._lock:  # all who open the page at once share one look
            if self.clock() - self._at > _FRESH_S:
                try:
                    async with asyncio.timeout(timeout_s):
                        self._seen = await look(api)
                except (ApiException, msgspec.DecodeError, *AWAY):
                    self._seen = Seen(known=False)
                self._at = self.clock()
        if not self._seen.known:
            return {}
        return {name: said(profiles[name], gpu, self._seen, asks) for name, gpu in wanted.items()}


def said(profile: Profile, gpu: Gpu, seen: Seen, asks: str = "") -> str:
    """How the GPUs of a profile stand: `1 of 4 free`, or why it cannot start now, for who `asks`."""
    nodes = [one for one in seen.nodes if profile.node_selector.items() <= one.labels.items()]
    has = sum(one.has.get(gpu.resource, 0) for one in nodes)
    free = [one.has.get(gpu.resource, 0) - one.used.get(gpu.resource, 0) for one in nodes]
    kind = gpu.resource.rpartition("/")[2].upper()
    if not has:
        return f"no node has a {kind} now: it starts once one is added"
    if gpu.count <= max(free, default=0):
        return f"{sum(max(0, one) for one in free)} of {has} {kind} free"
    if gpu.count > max((one.has.get(gpu.resource, 0) for one in nodes), default=0):
        return f"cannot start: no node has {gpu.count} {kind}"
    waiting = [user for user, resource in seen.waiting if resource == gpu.resource and user != asks]
    before = f"; {_people(waiting)} asked before you" if waiting else ""
    left = sum(max(0, one) for one in free)
    state = f"{left} of {has} {kind} free, not {gpu.count} on one node" if left else (
        f"all {has} {kind} in use"
    )  # fmt: skip
    return f"waits: {state}{before}"


async def look(api: Any) -> Seen:
    """Ask Kubernetes for all nodes, and for the pods that hold or want something of them."""
    answer = await api.list_node(resource_version="0", _preload_content=False)
    nodes = msgspec.json.decode(await _body(answer), type=_Nodes).items
    alive = "status.phase!=Succeeded,status.phase!=Failed"
    answer = await api.list_pod_for_all_namespaces(
        field_selector=alive, resource_version="0", _preload_content=False
    )
    pods = msgspec.json.decode(await _body(answer), type=_Pods).items
    used: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    waiting = []
    for pod in sorted(pods, key=lambda one: one.metadata.creation_timestamp):
        for container in pod.spec.containers:
            asked = _extended({**container.resources.limits, **container.resources.requests})
            for resource, count in asked.items():
                if pod.spec.node_name:
                    used[pod.spec.node_name][resource] += count
                elif SERVER_LABEL in pod.metadata.labels:
                    user = pod.metadata.annotations.get("hub.jupyter.org/username", "")
                    waiting.append((user, resource))
    found = tuple(
        Node(one.metadata.name, one.metadata.labels, _extended(one.status.allocatable), used[one.metadata.name])
        for one in nodes
        if not one.spec.unschedulable
    )  # fmt: skip
    return Seen(nodes=found, waiting=tuple(waiting))


def _extended(amounts: Mapping[str, str]) -> dict[str, int]:
    """Only what device plugins count: names with a domain, whole numbers."""
    return {
        name: int(amount)
        for name, amount in amounts.items()
        if "/" in name and amount.isdigit() and int(amount)
    }


def _gpu(profile: Profile) -> Gpu | None:
    """The GPUs of a profile, or of its first size."""
    return profile.sized("").gpu


async def _body(answer: Any) -> bytes:
    if answer.status != 200:
        raise ApiException(status=answer.status, reason=answer.reason)
    body: bytes = await answer.read()
    return body


def _people(names: list[str]) -> str:
    different = list(dict.fromkeys(names))
    named, more = different[:_NAMED], len(different) - _NAMED
    if more > 0:
        return f"{', '.join(named)} and {more} more"
    return " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))
