"""Takes what the platform needs away for a while: its registry, its database, its agents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from tests.kubernetes.driver import Platform, kubectl, objects

REGISTRY: Final = "test-registry"
"""The Service by which the platform reaches the cluster's registry; `values.yaml` names it."""
_OF_CLUSTER: Final = ("kube-system", "registry")
_OF_SERVICE: Final = "kubernetes.io/service-name"


def lead_to_registry(platform: Platform) -> None:
    """Make the Service, so that the way to the registry can be cut for this platform alone."""
    namespace, name = _OF_CLUSTER
    slices = objects("endpointslices", namespace, f"{_OF_SERVICE}={name}")
    addresses = [
        address for one in slices for end in one["endpoints"] for address in end["addresses"]
    ]
    _apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": REGISTRY, "namespace": platform.namespace},
            "spec": {"ports": [{"name": "http", "port": 5000}]},
        }
    )
    _apply(_slice(platform, addresses))


@contextmanager
def without_registry(platform: Platform) -> Iterator[None]:
    """While this lasts the registry refuses connections of the platform; nodes still pull."""
    (before,) = objects("endpointslices", platform.namespace, f"{_OF_SERVICE}={REGISTRY}")
    addresses = [address for end in before["endpoints"] for address in end["addresses"]]
    _apply(_slice(platform, []))
    try:
        yield
    finally:
        _apply(_slice(platform, addresses))


@contextmanager
def without_database(platform: Platform) -> Iterator[None]:
    """While this lasts PostgreSQL is ended; what it keeps stays."""
    name = ("statefulset/atoll-postgres", "-n", platform.namespace)
    _end(platform.namespace, "postgres")
    kubectl("scale", *name, "--replicas=0")
    _gone(platform.namespace, "postgres")
    try:
        yield
    finally:
        kubectl("scale", *name, "--replicas=1")
        kubectl("rollout", "status", *name, "--timeout=180s")


@contextmanager
def without_agents(platform: Platform) -> Iterator[None]:
    """While this lasts no save can begin: agents are on no node."""
    patch = '{"spec":{"template":{"spec":{"nodeSelector":{"atoll.dev/nowhere":"true"}}}}}'
    name = ("daemonset/atoll-agent", "-n", platform.agents)
    _end(platform.agents, "agent")
    kubectl("patch", *name, "--type=merge", "-p", patch)
    _gone(platform.agents, "agent")
    try:
        yield
    finally:
        back = '[{"op":"remove","path":"/spec/template/spec/nodeSelector/atoll.dev~1nowhere"}]'
        kubectl("patch", *name, "--type=json", "-p", back)
        kubectl("rollout", "status", *name, "--timeout=120s")


def _end(namespace: str, part: str) -> None:
    """Have a part's pods end soon: whoever ends them in order gives them their full grace."""
    kubectl("delete", "pods", *_pods(namespace, part), "--grace-period=1", "--wait=false")


def _gone(namespace: str, part: str) -> None:
    kubectl("wait", "pods", *_pods(namespace, part), "--for=delete", "--timeout=90s")


def _pods(namespace: str, part: str) -> tuple[str, ...]:
    return ("-n", namespace, "-l", f"app.kubernetes.io/component={part}")


def _slice(platform: Platform, addresses: list[str]) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": REGISTRY,
            "namespace": platform.namespace,
            "labels": {_OF_SERVICE: REGISTRY},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 5000}],
        "endpoints": [{"addresses": addresses}] if addresses else [],
    }


def _apply(thing: dict[str, Any]) -> None:
    kubectl("apply", "-f", "-", given=json.dumps(thing).encode())
