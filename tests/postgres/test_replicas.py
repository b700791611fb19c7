"""Two services on one database at once, as during an upgrade: nothing happens twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from atoll.checkpoints import client, node_client
from atoll.checkpoints.models import ServerStatus, StartRequest
from atoll.checkpoints.node_models import ImageSaved, Phase, ProgressReport, SaveOrder, SaveResult
from atoll.jobs import client as jobs_client
from atoll.jobs.models import JobStatus
from atoll.kit.home import Home
from atoll.kit.http import Connection

from tests.service.jobs import test_kills as jobs
from tests.service.jobs.conftest import FAST
from tests.service.jobs.platform import notebook
from tests.service.nodes.cluster import NODE, Cluster, ServiceProcess

USERS = ["ada", "bob", "user2", "user3", "user4", "user5"]
OTHERS = ["cleo", "dan", "eve"]
ROUNDS = 4
AT_ONCE = 2
KEPT = 2


@dataclass
class Twins:
    """Two services; the second is spoken to through `there`."""

    here: Cluster
    there: Cluster
    processes: list[ServiceProcess]

    @property
    def both(self) -> tuple[Cluster, Cluster]:
        return self.here, self.there


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    home = Home(tmp_path_factory.mktemp("twins") / "home")
    settings: dict[str, object] = {
        "nodes": {"name": NODE, "at_once": AT_ONCE, "per_node": AT_ONCE},
        "checkpoints": {"keep_last": KEPT},
    }
    processes = [ServiceProcess(home, settings) for _ in range(2)]
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(ServiceProcess.start, processes))  # both bring the schema up
        here, there = (Cluster(home, process.url) for process in processes)
        for cluster in (here, there):
            for who in ("hub", "admin", "ada", "bob", cluster.token):  # threads find them made
                cluster.connections[who] = Connection(cluster.url, who, patience_s=20)
        yield Twins(here, there, processes)
        for cluster in (here, there):
            cluster.close()
    finally:
        for process in processes:
            process.kill()


class Agent:
    """An agent that asks both services in turn, and saves nothing but an image of its own."""

    def __init__(self, twins: Twins) -> None:
        self._twins = twins
        self._lock = threading.Lock()
        self._working: Counter[str] = Counter()
        self.ended = threading.Event()
        self.twice: list[str] = []
        self.most = 0
        self.done: list[str] = []

    def run(self, number: int) -> None:
        asked = 0
        while not self.ended.is_set():
            asked += 1
            cluster = self._twins.both[(number + asked) % 2]
            content = cluster.send(node_client.work(NODE, 0), cluster.token)
            if content:
                self._carry_out(SaveOrder.model_validate_json(content), number + asked)

    def _carry_out(self, order: SaveOrder, turn: int) -> None:
        with self._lock:
            if self._working[order.checkpoint]:
                self.twice.append(order.checkpoint)
            self._working[order.checkpoint] += 1
            self.most = max(self.most, self._working.total())
        other = self._twins.both[turn % 2]
        report = ProgressReport(lease=order.lease, phase=Phase.COPYING, done=1, total=2)
        other.send(node_client.progress(NODE, order.checkpoint, report), other.token)
        told = ImageSaved(outcome="saved", digest=order.parent, added=0)
        with self._lock:
            self._working[order.checkpoint] -= 1
            self.done.append(order.checkpoint)
        result = SaveResult(lease=order.lease, result=told)
        other.send(node_client.result(NODE, order.checkpoint, result), other.token)


@pytest.mark.timeout(240)
def test_servers_and_saves_over_two_services(twins: Twins) -> None:
    """Each user starts and stops through either; two agents ask both."""
    agent = Agent(twins)
    starts: dict[str, list[str]] = {user: [] for user in USERS}

    def live(user: str) -> None:
        for number in range(ROUNDS):
            one, other = twins.both if number % 2 else reversed(twins.both)
            with ThreadPoolExecutor(2) as pool:  # the hub asks twice, and both services at once
                asked = [
                    pool.submit(
                        each.send, client.start(user, "", StartRequest(contained=True)), "hub"
                    )
                    for each in twins.both
                ]
                ids = {found.start_id for found in (one_.result(30) for one_ in asked)}
            assert len(ids) == 1
            starts[user] += ids
            one.start(user)
            if number % 2 and user in ("ada", "bob"):  # whose tokens the stub's hub knows
                other.save(user)
            other.end(user)
            other.saved(user, within_s=60)

    with ThreadPoolExecutor(len(USERS) + 2) as pool:
        agents = [pool.submit(agent.run, number) for number in range(2)]
        users = [pool.submit(live, user) for user in USERS]
        for user in users:
            user.result(200)
        agent.ended.set()
        for running in agents:
            running.result(30)

    assert not agent.twice
    assert agent.most <= AT_ONCE
    assert len(agent.done) == len(set(agent.done))
    for user in USERS:
        assert len(set(starts[user])) == ROUNDS
        assert twins.here.server(user) == twins.there.server(user)
        assert twins.here.server(user).status == ServerStatus.SAVED
    for cluster in twins.both:
        assert all(one.status.final for one in cluster.checkpoints())


@pytest.mark.timeout(240)
def test_jobs_over_two_services_run_once_and_take_no_more_places_than_there_are(
    home: Home, tmp_path: Path
) -> None:
    platforms = [jobs.Platform(home, FAST) for _ in range(2)]
    try:
        twins = []
        for platform in platforms:
            (home.run / "known-port").unlink(missing_ok=True)  # else it would take the first one's
            twins.append(platform.start())
        folders = [tmp_path / f"job-{number}" for number in range(8)]
        for folder in folders:
            folder.mkdir()
        with ThreadPoolExecutor(4) as pool:
            submitted = list(
                pool.map(
                    lambda pair: twins[pair[0] % 2].submit(notebook(jobs.counted(pair[1]))),
                    enumerate(folders),
                )
            )
        most = 0
        while not all(twins[0].job(job).status.final for job in submitted):
            [queue] = twins[1].send(jobs_client.queues())  # counted in one look
            most = max(most, queue.running)
        for job, folder in zip(submitted, folders, strict=True):
            assert twins[1].job(job).status == JobStatus.SUCCEEDED, twins[1].job(job)
            assert jobs.runs(folder) == 1
        assert 0 < most <= FAST.places
    finally:
        for platform in platforms:
            platform.close()


@pytest.mark.timeout(240)
def test_what_is_pruned_by_two_services_is_what_nobody_needs(twins: Twins) -> None:
    """Each service has an agent; every stop makes an environment, and removes an old one."""
    for cluster in twins.both:
        cluster.agent()

    def live(user: str) -> None:
        for number in range(ROUNDS):
            one, other = twins.both if number % 2 else reversed(twins.both)
            (one.start(user) / f"notes-{number}").write_text(user)
            other.end(user)
            one.saved(user, within_s=60)

    with ThreadPoolExecutor(len(OTHERS)) as pool:
        list(pool.map(live, OTHERS))

    began = Counter(twins.here.began())
    assert len(began) == len(OTHERS) * ROUNDS
    assert set(began.values()) == {1}
    for user in OTHERS:
        files = twins.there.files(twins.here.server(user).environment)
        assert files == {f"notes-{number}" for number in range(ROUNDS)}
        mine = [one for one in twins.here.checkpoints() if one.user == user]
        assert len(mine) == KEPT
    named = {one.digest for one in twins.here.checkpoints() if one.user in OTHERS}
    kept = {one.digest for one in twins.here.store.images() if not one.name.startswith("base-")}
    assert kept == named


def test_when_one_service_is_killed_the_other_goes_on(twins: Twins) -> None:
    """The last of these tests."""
    (twins.here.start("last") / "notes").write_text("kept")
    for process in twins.here.processes:
        process.kill()  # its agents; those of the other go on
    twins.here.end("last")
    twins.processes[0].kill()
    twins.there.agent()
    assert twins.there.files(twins.there.saved("last").environment) == {"notes"}
