"""An API server that is slow, asks for patience, or has forgotten: servers and jobs come through, and it heals."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from typing import Any, Final

import psutil
import pytest
from atoll.checkpoints.models import ServerStatus
from atoll.jobs import client as jobs
from atoll.jobs.models import Job, JobRequest, JobStatus

from tests.kubernetes.between import Between, compact
from tests.kubernetes.driver import kubectl, objects
from tests.kubernetes.driver import notebook as notebook_of
from tests.kubernetes.hub_on_host import Guest, Host, on_host
from tests.kubernetes.where import SINGLEUSER
from tests.platform.driver import eventually
from tests.service.jobs.platform import notebook

pytestmark = [pytest.mark.kubernetes, pytest.mark.on_node, pytest.mark.timeout(400)]

JOBS: Final = f"jobs-{secrets.token_hex(3)}"
PODS: Final = f"/api/v1/namespaces/{JOBS}/pods"
LONG_S: Final = 120.0
MOST_PER_S: Final = 3.0
"""How often one and the same thing may be asked for, at most, whatever the answers are."""


@pytest.fixture(scope="module")
def between() -> Iterator[Between]:
    """What stands between."""
    found = Between(os.environ["KUBECONFIG"])
    yield found
    found.close()


@pytest.fixture(scope="module")
def host(between: Between, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The platform, whose hub and service reach the API server through that; jobs are pods too."""
    folder = tmp_path_factory.mktemp("api-server")
    size = {"cpu": 0.2, "memory": "128M", "cpu_guarantee": 0.01}
    settings: dict[str, Any] = {
        "hub": {"profiles": {"small": {"title": "Small", **size}}},
        "kubernetes": {
            "kubeconfig": str(between.write(folder / "kubeconfig")),
            "jobs_namespace": JOBS,
        },
        "jobs": {
            "runner": "kubernetes",
            "image": SINGLEUSER,
            "cpu": 0.1,
            "memory": "1G",
            "places": 4,
            "grace_s": 5,
        },
    }
    kubectl("create", "namespace", JOBS)
    try:
        with on_host(folder / "home", settings) as host:
            host.begin("agent")
            yield host
    finally:
        kubectl("delete", "namespace", JOBS, "--wait=false")


@pytest.fixture(autouse=True)
def healed(between: Between) -> Iterator[None]:
    """Afterwards the API server is as it always is."""
    yield
    between.slow_s, between.throttled, between.forgets = 0.0, False, 0


def submit(guest: Guest, *cells: str) -> Job:
    """A job of the user's."""
    with guest.connection() as service:
        return service.send(jobs.submit(JobRequest(notebook=notebook(*cells), environment="base")))


def final(guest: Guest, job: Job) -> Job:
    """How it ended."""
    with guest.connection() as service:
        return eventually(
            lambda: service.send(jobs.job(job.id)), lambda one: one.status.final, LONG_S
        )


def ran_once(guest: Guest, between: Between, before: int, job: Job) -> None:
    """The job came to its end in one pod, which said what it says once; nothing of it is left."""
    done = final(guest, job)
    assert done.status == JobStatus.SUCCEEDED, done
    with guest.connection() as service:
        said = service.send(jobs.log(job.id)).text
    assert [line for line in said.splitlines() if line == "once"] == ["once"], said
    assert between.made[PODS] == before + 1
    left = lambda: [one["metadata"]["name"] for one in objects("pods", JOBS)]  # noqa: E731
    eventually(left, lambda names: job.id not in names, 60)


def saved(guest: Guest) -> Any:
    """The server, when it is saved and its pod is gone."""
    found = eventually(guest.server, lambda one: one.status == ServerStatus.SAVED, LONG_S)
    eventually(guest.pods, lambda pods: not pods, LONG_S)
    return found


def quiet(between: Between, began: float) -> None:
    """Nothing was asked for in a loop."""
    what, count = between.busiest(began)
    assert count < MOST_PER_S * (time.monotonic() - began) + 10, (what, count)


def test_an_api_server_that_takes_two_seconds_for_everything(host: Host, between: Between) -> None:
    before, began, between.slow_s = between.made[PODS], time.monotonic(), 2.0
    ada = host.user("ada")
    ada.start(profile="small")
    ada.sh("echo mine > /opt/environment/mine")
    job = submit(ada, "print('once')")
    ada.stop()
    assert saved(ada).environment is not None
    ran_once(ada, between, before, job)
    quiet(between, began)
    ada.start(profile="small")
    assert ada.sh("cat /opt/environment/mine") == "mine\n"
    idle = time.monotonic()
    time.sleep(20)
    asked = between.since(idle)
    assert len(asked) < 60, asked
    ada.stop()
    saved(ada)


def test_an_api_server_that_asks_for_patience_is_given_it_and_everything_goes_on_afterwards(
    host: Host, between: Between
) -> None:
    bo = host.user("bo")
    bo.start(profile="small")
    before, began, between.throttled = between.made[PODS], time.monotonic(), True
    between.cut()
    bo.begin("other")
    job = submit(bo, "print('once')")
    time.sleep(20)
    assert bo.servers()[""]["ready"], "who works goes on"
    asked = between.since(began)
    what, count = between.busiest(began)
    assert count < MOST_PER_S * 20, (what, count)
    assert len(asked) < 300, len(asked)
    between.throttled = False

    bo.wait_ready("other")
    ran_once(bo, between, before, job)
    assert len([pod for pod in bo.pods() if pod["status"]["phase"] == "Running"]) == 2
    bo.stop("other")
    bo.stop()
    eventually(bo.pods, lambda pods: not pods, LONG_S)
    assert bo.server().status == ServerStatus.SAVED
    quiet(between, began)


def test_what_happened_before_etcd_was_compacted_is_found_by_a_new_list(
    host: Host, between: Between
) -> None:
    etcd = etcd_address()
    cy = host.user("cy")
    cy.start(profile="small")
    cy.sh("echo mine > /opt/environment/mine")
    began = time.monotonic()
    between.throttled = True  # nothing is seen meanwhile
    between.cut()
    cy.sh("kill -9 -1", check=False)  # as the server's own end
    eventually(lambda: notebook_of(cy.pod)["state"], lambda state: "terminated" in state)
    compact(etcd)
    between.forgets, between.throttled = 10, False

    eventually(lambda: between.too_old, lambda count: count == 10, 60)
    eventually(cy.servers, lambda found: not found, 60)
    time.sleep(5)
    lists = [one for one in between.since(began) if one.method == "GET" and not one.watch]
    assert len(lists) < 100, len(lists)
    assert saved(cy).environment is not None
    cy.start(profile="small")
    assert cy.sh("cat /opt/environment/mine") == "mine\n"
    cy.stop()
    saved(cy)


def etcd_address() -> str:
    """Where the cluster's etcd listens, when it is this machine's and asks for no certificate."""
    for process in psutil.process_iter(["cmdline"]):
        for word in process.info["cmdline"] or []:
            if word.startswith("--listen-client-urls=http://"):
                return word.partition("=")[2].split(",")[0]
    pytest.skip("the cluster's etcd cannot be reached from here")
