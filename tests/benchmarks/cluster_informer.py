"""Ten thousand pods listed by the informer, beside KubeSpawner's reflector and kubernetes_asyncio.

The pods are jobs' pods as the platform makes them, with a status such as the kubelet writes, held by a
scheduling gate: no node has any work with them. Each listing is a process of its own, taken in turn.
"""

from __future__ import annotations

import json
import os
import secrets
import statistics
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from atoll.jobs import manifests
from atoll.jobs.manifests import Place
from atoll.jobs.resources import Size
from atoll.jobs.runners import Work
from atoll.kit.kube.access import Access
from atoll.kit.kube.api import KubeApi

from tests.benchmarks.rows import Row, row
from tests.kubernetes.driver import kubectl
from tests.kubernetes.where import IMAGES
from tests.platform.driver import eventually

PODS = 10_000
ROUNDS = 3
MOST_S, MOST_MB = 0.5, 50.0
PEERS = {
    "reflector": "KubeSpawner's reflector",
    "typed": "kubernetes_asyncio, typed",
    "bytes": "the API server's pages, thrown away",
}
_AT_ONCE = 8
_IMAGE = f"{IMAGES}/singleuser@sha256:{'5' * 64}"


def _pod(name: str, namespace: str) -> dict[str, Any]:
    work = Work(
        id=name, user="ada", name="analysis.ipynb", folder="", notebook=bytes, kernel="python3",
        language="python", parameters={}, environment="", timeout_s=600, variables={},
    )  # fmt: skip
    place = Place(namespace, "bench", "http://atoll-service.atoll:8010/services/atoll/")
    pod = manifests.pod(work, Size(1.0, "2G"), _IMAGE, place)
    pod["spec"]["schedulingGates"] = [{"name": "atoll.dev/benchmark"}]
    return pod


def _status(number: int) -> dict[str, Any]:
    """Such as the kubelet writes for a pod that runs."""
    at = "2026-11-25T12:00:00Z"
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    ip = f"10.244.{number // 250}.{number % 250}"
    container = {
        "name": manifests.CONTAINER,
        "ready": True,
        "started": True,
        "restartCount": 0,
        "image": _IMAGE,
        "imageID": _IMAGE,
        "containerID": f"containerd://{number:064x}",
        "state": {"running": {"startedAt": at}},
    }
    status = {
        "phase": "Running",
        "qosClass": "Guaranteed",
        "startTime": at,
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": at} for kind in kinds
        ],
        "containerStatuses": [container],
    }
    return {"status": status}


@contextmanager
def pods(count: int) -> Iterator[str]:
    """The namespace with so many pods."""
    namespace = f"informer-bench-{secrets.token_hex(3)}"
    path = f"/api/v1/namespaces/{namespace}/pods"
    api = KubeApi(Access.find(os.environ["KUBECONFIG"]))
    kubectl("create", "namespace", namespace)

    def make(number: int) -> None:
        name = f"j-{number:022x}"
        api.create(path, _pod(name, namespace))
        api.patch(f"{path}/{name}/status", _status(number))

    try:
        account = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        eventually(lambda: api.get(account)["items"], bool)  # no pod is accepted without one
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(make, range(count)))
        yield namespace
    finally:
        kubectl("delete", "--raw", f"{path}?gracePeriodSeconds=0", check=False)
        kubectl("delete", "namespace", namespace, "--wait=false")
        api.close()


def _listed(way: str, namespace: str) -> dict[str, float]:
    command = [sys.executable, "-P", "-m", "tests.benchmarks.listing", way, namespace]
    environ = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    assert found["pods"] == PODS, found
    return found


def measure() -> list[Row]:
    """The figures, for the cluster that KUBECONFIG names."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ("ours", *PEERS)}
    with pods(PODS) as namespace:
        size = len(kubectl("get", "--raw", f"/api/v1/namespaces/{namespace}/pods")) / PODS
        for _ in range(ROUNDS):
            for way, listings in found.items():
                listings.append(_listed(way, namespace))
    print(f"  a pod has {size:,.0f} bytes", flush=True)
    for one in (one for listings in found.values() for one in listings):
        one["added_mb"] = one["most_mb"] - one["before_mb"]
    rows = []
    for way, name in PEERS.items():
        for field, unit, most, what in (
            ("s", "s", MOST_S, "listed"),
            ("added_mb", "MB", MOST_MB, "listed: the most that it adds"),
            ("most_mb", "MB", MOST_MB, "listed: the whole process, imports and all"),
        ):
            ours, peer = ([one[field] for one in found[it]] for it in ("ours", way))
            met = statistics.median(ours) <= most
            goal = f"≤ {most:g} {unit}"
            rows.append(row(f"{PODS:,} pods {what}", ours, peer, name, unit, goal=goal, met=met))
    return rows
