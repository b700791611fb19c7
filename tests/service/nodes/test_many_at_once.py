"""The evening: the culler stops many servers at once, on three nodes."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from atoll.apps.service import build
from atoll.apps.settings import ServiceSection, ServiceSettings
from atoll.checkpoints import node_client
from atoll.checkpoints.models import CheckpointStatus, ServerStatus, ServerTarget
from atoll.checkpoints.node_models import ImageSaved, Phase, ProgressReport, SaveOrder, SaveResult
from atoll.checkpoints.settings import NodeSettings
from atoll.checkpoints.store import ServerRow
from atoll.kit.db import Database
from atoll.kit.home import Home
from atoll.kit.names import new_id

from tests.databases import url_of
from tests.exploring import TIMES

from ..whole import hub, no_flights, served
from .cluster import Cluster, eventually

NODES = ("node-1", "node-2", "node-3")
SERVERS = 300 if TIMES > 1 else 90
AT_ONCE = 2


class Everybody:
    """Knows the agents of all nodes, by tokens that are their names."""

    async def node(self, token: str) -> str | None:
        return token if token in NODES else None

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def evening(home: Home) -> Iterator[Cluster]:
    home.create()
    with no_flights(), served(hub) as address:
        config = ServiceSettings(
            service=ServiceSection(hub_api_url=f"{address}/hub/api/", database=url_of(home)),
            nodes=NodeSettings(at_once=AT_ONCE),
        )
        app = build(home, config)
        api = app.routes[0].app  # type: ignore[attr-defined]  # the mounted API
        api.state.agents = Everybody()
        with served(app) as url:
            cluster = Cluster(home, f"{url}/services/atoll/api/v1/")
            yield cluster
            cluster.close()


@pytest.mark.timeout(240)
def test_many_stops_are_saved_in_order_and_within_the_limits(
    evening: Cluster,
) -> None:
    cluster = evening
    names = [f"user{number}" for number in range(SERVERS)]
    running(cluster, names)
    cluster.start("ada", node=NODES[0])
    live = cluster.save("ada")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(cluster.end, names))
    eventually(lambda: waiting(cluster), lambda found: found == SERVERS + 1, 60)
    agents = Agents(cluster)

    agents.run()

    assert agents.most == AT_ONCE
    assert agents.most_on_a_node == 1
    assert len(agents.order) == len(set(agents.order)) == SERVERS + 1
    assert agents.live.index(True) >= SERVERS - AT_ONCE  # it was asked for first
    assert cluster.final(live.id).status == CheckpointStatus.READY


def running(cluster: Cluster, names: list[str]) -> None:
    """Servers that run in containers, written down all at once."""
    database = Database(url_of(cluster.home))
    with database.write() as session:
        for number, name in enumerate(names):
            session.add(
                ServerRow(
                    id=new_id("s"),
                    user=name,
                    name="",
                    target=ServerTarget.RUNNING,
                    status=ServerStatus.RUNNING,
                    start_id=(start := new_id("st")),
                    running_id=start,
                    choice="last",
                    contained=True,
                    node=NODES[number % len(NODES)],
                    container=f"container-{number}",
                    image=f"registry.example/notebook@{cluster.base}",
                )
            )
    database.close()


def waiting(cluster: Cluster) -> int:
    """How many wait, as `/metrics` says."""
    url = cluster.url.removesuffix("services/atoll/api/v1/")
    text = httpx.get(f"{url}metrics").text
    return sum(
        int(float(n)) for n in re.findall(r'atoll_saves_waiting\{node="node-\d"} (\S+)', text)
    )


class Agents:
    """Three agents that save nothing, and note who is at work at the same time."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._working: list[str] = []
        self.order: list[str] = []
        self.live: list[bool] = []
        self.most = self.most_on_a_node = 0

    def run(self) -> None:
        """Until there is nothing left."""
        with ThreadPoolExecutor(len(NODES)) as pool:
            list(pool.map(self._agent, NODES))

    def _agent(self, node: str) -> None:
        while len(self.order) < SERVERS + 1:
            content = self._cluster.send(node_client.work(node, 1), node)
            if not content:
                continue
            order = SaveOrder.model_validate_json(content)
            with self._lock:
                self._working.append(node)
                self.order.append(order.checkpoint)
                self.live.append(order.live)
                self.most = max(self.most, len(self._working))
                most = max(self._working.count(one) for one in NODES)
                self.most_on_a_node = max(self.most_on_a_node, most)
            report = ProgressReport(lease=order.lease, phase=Phase.COPYING, done=1, total=2)
            self._cluster.send(node_client.progress(node, order.checkpoint, report), node)
            told = ImageSaved(outcome="saved", digest=order.parent, added=0)
            with self._lock:
                self._working.remove(node)
            result = SaveResult(lease=order.lease, result=told)
            self._cluster.send(node_client.result(node, order.checkpoint, result), node)
