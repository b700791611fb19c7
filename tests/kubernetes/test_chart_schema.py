"""Every object that the chart renders, as the cluster's own API takes it, without making any."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.helm.chart import Object, pods, render
from tests.kubernetes.driver import kubectl

CASES: Final[dict[str, dict[str, Any]]] = {
    "default": {},
    "smallest": {"postgres": {"enabled": False}, "prePuller": {"enabled": False}},
    "elsewhere": {
        "postgres": {"enabled": False},
        "database": {"existingSecret": {"name": "db", "key": "url"}},
        "registry": {"enabled": False, "address": "registry.example"},
        "proxy": {"enabled": False, "apiUrl": "http://proxy.example:8001"},
        "protection": {"enabled": False},
    },
    "everything": {
        "ingress": {"enabled": True, "host": "atoll.example", "tlsSecret": "tls"},
        "registry": {
            "pullAddress": "images.example",
            "ingress": {"enabled": True, "host": "images.example"},
            "config": {"storage": {"s3": {"bucket": "b", "region": "r"}}},
        },
        "proxy": {"tlsSecret": "tls", "service": {"type": "NodePort", "nodePort": 30888}},
        "service": {"replicas": 2, "storage": {"accessModes": ["ReadWriteMany"]}},
        "storage": {"nfs": {"homes": {"server": "files.example", "path": "/homes"}}},
        "podSecurity": {"seLinuxOptions": {"level": "s0:c1,c2"}},
        "networkPolicies": {"nodes": ["192.168.0.0/24", "fd00::/64"]},
        "hub": {
            "extraEnv": [{"name": "A", "value": "b"}],
            "tolerations": [{"operator": "Exists"}],
            "nodeSelector": {"a": "b"},
            "priorityClassName": "system-cluster-critical",
        },
    },
}


@pytest.fixture(scope="module")
def namespaces() -> Iterator[dict[str, str]]:
    """A namespace of each level: objects of the chart's are tried in it."""
    made = {
        level: f"chart-{level}-{uuid.uuid4().hex[:6]}" for level in ("restricted", "privileged")
    }
    for level, name in made.items():
        labels = {"pod-security.kubernetes.io/enforce": level}
        namespace = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": labels},
        }
        kubectl("create", "-f", "-", given=json.dumps(namespace).encode())
    yield made
    kubectl("delete", "namespace", *made.values(), "--wait=false")


def tried(objects: list[Object]) -> str:
    """What the API says to these objects; an error is in the assertion."""
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    return kubectl(
        "create", "--dry-run=server", "--validate=strict", "-f", "-", "-o", "name",
        given=json.dumps(listed).encode(),
    )  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_cluster_takes_every_object(case: str, namespaces: dict[str, str]) -> None:
    objects = render(CASES[case], release=f"try-{case}")
    for one in objects:
        if "namespace" in one["metadata"]:
            one["metadata"]["namespace"] = namespaces["privileged"]
    said = tried(objects).splitlines()
    assert len(said) == len(objects)


def alone(part: str, namespace: str, labels: dict[str, str], spec: Object) -> Object:
    """A part's pod by itself: its account, and the volume that its StatefulSet brings, are not there."""
    volumes = spec.get("volumes", [])
    names = {one["name"] for one in volumes}
    missing = {
        mount["name"] for one in spec["containers"] for mount in one.get("volumeMounts", [])
    } - names
    given = [*volumes, *({"name": name, "emptyDir": {}} for name in sorted(missing))]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": part, "namespace": namespace, "labels": labels},
        "spec": {**spec, "serviceAccountName": "default", "volumes": given},
    }


@pytest.mark.parametrize("case", CASES)
def test_a_restricted_namespace_takes_every_pod_but_the_agents(
    case: str, namespaces: dict[str, str]
) -> None:
    found = [
        alone(part, namespaces["restricted"], meta["labels"], spec)
        for part, _, meta, spec in pods(render(CASES[case]))
        if part != "agent"
    ]
    assert found
    assert len(tried(found).splitlines()) == len(found)
