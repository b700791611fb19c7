"""The database is away for a while, stopped or killed: users are told, and nothing is lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import httpx
import pytest
from atoll.checkpoints import client
from atoll.checkpoints.models import CheckpointStatus, StartRequest
from atoll.checkpoints.node_models import Phase
from atoll.checkpoints.settings import NodeSettings
from atoll.datasets import client as datasets
from atoll.datasets.models import DatasetRequest, DatasetStatus, Location
from atoll.kit.errors import ConflictError, UnavailableError
from atoll.kit.home import Home
from atoll.kit.http import Connection

from tests.databases import VARIABLE, Server
from tests.service.nodes.cluster import NODE, Cluster, eventually
from tests.service.whole import whole_service

T = TypeVar("T")
Outage = Callable[[Server], None]

HEALED_S = 20.0
"""After the database is back everything goes on within this time."""


@pytest.fixture
def cluster(home: Home, server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The service on the test's own server."""
    monkeypatch.setenv(VARIABLE, server.create("atoll"))
    with whole_service(home, nodes=NodeSettings(name=NODE, lease_s=5)) as url:
        cluster = Cluster(home, f"{url}/api/v1/")
        yield cluster
        cluster.close()


def persistent(ask: Callable[[], T]) -> T:
    """What it gives, asked again while the service says that its database is away, as the hub does."""
    deadline = time.monotonic() + HEALED_S
    while True:
        try:
            return ask()
        except UnavailableError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def source(home: Home, name: str) -> DatasetRequest:
    """A dataset of a file that there is."""
    path = home.homes / "ada" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a,b\n1,2\n")
    return DatasetRequest(name=name, location=Location(path=str(path)))


def restarted(server: Server) -> None:
    server.stop()
    server.start()


def killed(server: Server) -> None:
    server.kill()
    server.start()


@pytest.mark.parametrize("end", [Server.stop, Server.kill])
def test_while_it_is_away_requests_say_so_and_afterwards_all_is_as_before(
    cluster: Cluster, server: Server, end: Outage
) -> None:
    cluster.send(datasets.add(source(cluster.home, "before")))
    root = cluster.url.removesuffix("services/atoll/api/v1/")
    headers = {"Authorization": "token ada"}
    end(server)

    for path in ("datasets", "checkpoints", "jobs", "servers", "events"):
        answer = httpx.get(cluster.url + path, headers=headers, timeout=30)
        assert (answer.status_code, answer.headers["content-type"]) == (
            503,
            "application/problem+json",
        )
        assert answer.json()["code"] == "unavailable"
        assert "database" in answer.json()["detail"]
        assert answer.json()["hint"]
    assert httpx.get(f"{root}healthz").status_code == 200
    assert httpx.get(f"{root}readyz").status_code == 503
    with pytest.raises(UnavailableError):
        cluster.send(datasets.add(source(cluster.home, "meanwhile")))

    server.start()
    assert httpx.get(f"{root}readyz").status_code == 200
    names = [one.name for one in cluster.send(datasets.datasets()).items]
    assert "before" in names
    assert "meanwhile" not in names
    cluster.send(datasets.add(source(cluster.home, "after")))
    for name in ("before", "after"):
        eventually(
            lambda name=name: cluster.send(datasets.dataset(name)).status,  # type: ignore[misc]
            lambda status: status == DatasetStatus.READY,
            HEALED_S,
        )


@pytest.mark.parametrize("outage", [restarted, killed])
def test_an_open_stream_goes_on_over_an_outage(
    cluster: Cluster, server: Server, outage: Outage
) -> None:
    headers = {"Authorization": "token ada"}
    with httpx.stream("GET", f"{cluster.url}events", headers=headers, timeout=HEALED_S) as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": welcome"
        outage(server)
        added = persistent(lambda: cluster.send(datasets.add(source(cluster.home, "new"))))
        assert any(added.id in line for line in lines)


def test_a_stop_that_is_told_during_an_outage_is_saved_after_it(
    cluster: Cluster, server: Server
) -> None:
    (cluster.start() / "notes").write_text("kept")
    server.stop()
    with pytest.raises(UnavailableError):
        cluster.end()
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(persistent, cluster.end)
        server.start()
        told.result(HEALED_S)
    cluster.agent()
    assert cluster.files(cluster.saved(within_s=HEALED_S).environment) == {"notes"}


@pytest.mark.parametrize("outage", [restarted, killed])
def test_a_save_goes_on_over_an_outage_and_is_written_down_once(
    cluster: Cluster, server: Server, outage: Outage
) -> None:
    (cluster.start() / "notes").write_text("kept")
    cluster.end()
    (cluster.root / "hold-copying").touch()
    cluster.agent()
    eventually(cluster.phases, lambda phases: Phase.COPYING in phases)
    outage(server)
    (cluster.root / "hold-copying").unlink()

    saved = cluster.saved(within_s=HEALED_S)

    [checkpoint] = cluster.checkpoints()
    assert checkpoint.status == CheckpointStatus.READY
    assert checkpoint.digest == saved.environment
    assert cluster.files(saved.environment) == {"notes"}


def test_what_was_answered_is_there_after_kills_and_nothing_is_there_twice(
    cluster: Cluster, server: Server
) -> None:
    answered: list[str] = []
    ended = threading.Event()
    template = source(cluster.home, "many")

    def register(worker: int) -> None:
        connection = Connection(cluster.url, "ada")
        number = 0
        while not ended.is_set():
            name = f"many-{worker}-{number}"
            try:
                connection.send(datasets.add(template.model_copy(update={"name": name})))
            except UnavailableError:
                time.sleep(0.02)
                continue
            except ConflictError:
                pass  # it was written down, and the answer was lost
            answered.append(name)
            number += 1
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(register, worker) for worker in range(4)]
        for _ in range(3):
            before = len(answered)
            eventually(lambda: len(answered), lambda found, more=before + 10: found > more)  # type: ignore[misc]
            killed(server)
        before = len(answered)
        eventually(lambda: len(answered), lambda found: found > before + 10)
        ended.set()
        for worker in workers:
            worker.result(HEALED_S)
    found: Counter[str] = Counter()
    page = cluster.send(datasets.datasets(limit=200))
    while True:
        found.update(one.name for one in page.items)
        if page.next is None:
            break
        page = cluster.send(datasets.datasets(limit=200, cursor=page.next))
    assert set(answered) <= set(found)
    assert set(found.values()) == {1}


def test_a_start_asked_for_again_after_an_outage_is_the_same_start(
    cluster: Cluster, server: Server
) -> None:
    request = StartRequest(contained=True)
    first = cluster.send(client.start("ada", "", request), "hub")
    killed(server)
    again = persistent(lambda: cluster.send(client.start("ada", "", request), "hub"))
    assert again.start_id == first.start_id
