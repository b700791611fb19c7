"""A thousand queued jobs in a cluster, until each has a place and its pod was made.

They wait for a node that there is not, so that it is the platform and the API server that are measured.
The peer is the same secrets and pods asked for by themselves, by as many threads as the platform uses.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from atoll.jobs import manifests
from atoll.jobs.manifests import Place
from atoll.jobs.models import JobRequest
from atoll.jobs.resources import Size
from atoll.jobs.runners import Work
from atoll.jobs.settings import JobSettings
from atoll.kit.home import Home
from atoll.kit.hub import USE, Caller
from atoll.kit.kube.access import Access
from atoll.kit.kube.api import KubeApi

from tests.benchmarks.rows import Row, row
from tests.kubernetes.driver import kubectl
from tests.kubernetes.where import SINGLEUSER
from tests.service.jobs.platform import eventually, notebook
from tests.service.jobs.service_under_test import build
from tests.service.jobs.test_kills import Platform

JOBS = 1000
ROUNDS = 2
MOST_S = 10.0
SETTINGS = JobSettings(
    runner="kubernetes", places=JOBS, image=SINGLEUSER,
    node_selector={"atoll.dev/benchmark": "there-is-none"},
)  # fmt: skip
ADA = Caller("ada", scopes=frozenset({USE}))
_THREADS = 4


@contextmanager
def _namespace() -> Iterator[str]:
    name = f"queue-bench-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    try:
        yield name
    finally:
        for kind in ("pods", "secrets"):
            path = f"/api/v1/namespaces/{name}/{kind}?gracePeriodSeconds=0"
            kubectl("delete", "--raw", path, check=False)
        kubectl("delete", "namespace", name, "--wait=false")


def _count(api: KubeApi, namespace: str) -> int:
    """How many pods there are, without reading them."""
    found = api.get(f"/api/v1/namespaces/{namespace}/pods", {"limit": "1"})
    return len(found["items"]) + int(found["metadata"].get("remainingItemCount", 0))


def _queued(home: Home) -> int:
    """How many jobs wait for a place."""
    with closing(sqlite3.connect(home.service / "atoll.sqlite", timeout=60)) as database:
        [(count,)] = database.execute("select count(*) from jobs where status = 'queued'")
    return int(count)


def _ours(api: KubeApi, folder: Path) -> tuple[float, float]:
    """Seconds until all were admitted, and until all their pods were there."""
    home = Home(folder)
    home.create()
    shutil.copyfile(os.environ["KUBECONFIG"], home.path / "kubeconfig")
    app = build(home, SETTINGS, "http://127.0.0.1:1/")
    request = JobRequest(notebook=notebook("1"), environment="base")
    for _ in range(JOBS):
        app.state.jobs.create(ADA, request)
    app.state.jobs.close()
    app.state.database.close()
    with _namespace() as namespace:
        platform = Platform(home, SETTINGS, {"TEST_NAMESPACE": namespace})
        try:
            platform.start()
            began = time.perf_counter()
            eventually(lambda: _queued(home), lambda count: count == 0, 300)
            admitted = time.perf_counter() - began
            eventually(lambda: _count(api, namespace), lambda count: count >= JOBS, 300)
            return admitted, time.perf_counter() - began
        finally:
            platform.close()


def _bare(api: KubeApi) -> float:
    """Seconds of the cluster alone."""
    with _namespace() as namespace:
        place = Place(namespace, "bench", "http://127.0.0.1:1/", settings=SETTINGS)

        def make(number: int) -> None:
            id_ = f"j-{number:022x}"
            work = Work(
                id=id_, user="ada", name="n", folder="", notebook=bytes, kernel="python3",
                language="python", parameters={}, environment="", timeout_s=600,
                variables={"ATOLL_TOKEN": "0" * 64},
            )  # fmt: skip
            size = Size(SETTINGS.cpu, SETTINGS.memory)
            path = f"/api/v1/namespaces/{namespace}"
            api.create(f"{path}/secrets", manifests.secret(work, place))
            api.create(f"{path}/pods", manifests.pod(work, size, SETTINGS.image, place))

        account = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        eventually(lambda: api.get(account)["items"], bool)  # no pod is accepted without one
        began = time.perf_counter()
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(make, range(JOBS)))
        return time.perf_counter() - began


def measure() -> list[Row]:
    """The figures, for the cluster that KUBECONFIG names."""
    api = KubeApi(Access.find(os.environ["KUBECONFIG"]), patience_s=60.0)
    admitted, made, bare = [], [], []
    with tempfile.TemporaryDirectory(prefix="atoll-bench-") as name:
        for number in range(ROUNDS):
            bare.append(_bare(api))
            one, other = _ours(api, Path(name) / str(number))
            admitted.append(one)
            made.append(other)
    api.close()
    peer, goal = "the same secrets and pods, asked for by themselves", f"≤ {MOST_S:g} s"
    return [
        row(
            f"{JOBS:,} queued jobs in a cluster: admitted", admitted,
            goal=goal, met=statistics.median(admitted) <= MOST_S,
        ),
        row(
            f"{JOBS:,} queued jobs in a cluster: their pods made", made, bare, peer,
            goal=goal, met=statistics.median(made) <= MOST_S,
        ),
    ]  # fmt: skip
