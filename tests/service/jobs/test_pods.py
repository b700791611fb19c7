"""Jobs as pods: the real program of a pod, as a process, at the real service."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from atoll.jobs import client
from atoll.jobs.models import Job, JobStatus
from atoll.jobs.settings import JobSettings
from atoll.kit.home import Home
from atoll.kit.processes import marked

from .platform import Atoll, eventually, notebook, printed
from .test_kills import ROOT, Platform, counted, gated, runs

PODS = JobSettings(
    runner="kubernetes", places=3, grace_s=4, look_every_s=0.1, image="base:1", pull_within_s=1
)


@dataclass
class Kube:
    """The cluster, spoken to by the test."""

    url: str

    def pod(self, job: Job) -> dict[str, Any] | None:
        """The job's pod."""
        answer = httpx.get(f"{self.url}/api/v1/namespaces/atoll-jobs/pods/{job.id}")
        return answer.json() if answer.status_code == 200 else None

    def names(self, kind: str) -> list[str]:
        """What there is."""
        answer = httpx.get(f"{self.url}/api/v1/namespaces/atoll-jobs/{kind}")
        return [one["metadata"]["name"] for one in answer.json()["items"]]

    def left(self) -> list[dict[str, Any]]:
        """What there is of jobs, with how it stands: told where a test waits in vain."""
        url = f"{self.url}/api/v1/namespaces/atoll-jobs"
        pods, secrets = (httpx.get(f"{url}/{kind}").json()["items"] for kind in ("pods", "secrets"))
        return [{**one["metadata"], **one.get("status", {})} for one in [*pods, *secrets]]

    def control(self, **what: object) -> None:
        """Tell the cluster what to do."""
        httpx.post(f"{self.url}/control", json=what).raise_for_status()

    def status(self, job: Job, **status: object) -> None:
        """Give a pod a status."""
        self.control(pod=job.id, status=status)

    def delete(self, job: Job) -> None:
        """As `kubectl delete pod`."""
        httpx.request("DELETE", f"{self.url}/api/v1/namespaces/atoll-jobs/pods/{job.id}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cluster for all tests of a module; its kubeconfig."""
    folder = tmp_path_factory.mktemp("cluster")
    command = [sys.executable, "-m", "tests.service.jobs.cluster", str(folder), "run"]
    process = subprocess.Popen(command, cwd=ROOT)
    config = folder / "kubeconfig"
    eventually(config.exists, bool)
    yield config
    process.terminate()
    process.wait()


@pytest.fixture
def kube(cluster: Path) -> Kube:
    found = of(cluster)
    found.control(run=True, away=False, refuse="")
    return found


def of(cluster: Path) -> Kube:
    """The cluster of a kubeconfig."""
    return Kube(json.loads(cluster.read_text())["clusters"][0]["cluster"]["server"])


@contextmanager
def platform_on(cluster: Path, home: Home, settings: JobSettings) -> Iterator[Platform]:
    """A service whose jobs run there; not started yet."""
    of(cluster).control(empty=True)  # of what a service before had no time for
    home.path.mkdir(parents=True)
    shutil.copy(cluster, home.path)
    platform = Platform(home, settings)
    yield platform
    platform.close()


@pytest.fixture(scope="module")
def platform(cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One service for all tests of a module."""
    home = Home(tmp_path_factory.mktemp("service") / "home")
    with platform_on(cluster, home, PODS) as found:
        found.start()
        yield found


@pytest.fixture
def atoll(platform: Platform) -> Atoll:
    return platform.spoken[-1]


def test_a_notebook_runs_in_a_pod_and_all_it_says_is_kept(atoll: Atoll, kube: Kube) -> None:
    document = notebook("print('n is', n)", "print('the end')", parameters="n = 1")
    done = atoll.run(document, parameters={"n": 7})

    assert done.status == JobStatus.SUCCEEDED, (done, atoll.log(done))
    assert (done.step.cell, done.step.cells) == (3, 3)
    assert "n is 7" in printed(atoll.output(done))
    assert "cell 3 of 3" in atoll.log(done)
    assert done.started_at is not None
    eventually(kube.left, lambda found: not found)


def test_a_job_that_is_stopped_ends_its_notebook_and_its_pod(
    atoll: Atoll, kube: Kube, tmp_path: Path
) -> None:
    job = atoll.submit(notebook("print('kept')", counted(tmp_path, gated(tmp_path / "gate"))))
    atoll.in_cell(job, 2)
    eventually(lambda: atoll.output(job), lambda found: "kept" in printed(found))

    atoll.send(client.stop(job.id))
    done = atoll.final(job)

    assert (done.status, done.reason) == (JobStatus.STOPPED, "stopped"), done
    assert "kept" in printed(atoll.output(done))
    assert "It was stopped." in atoll.log(done)
    eventually(lambda: marked("ATOLL_JOB", job.id), lambda found: not found)
    eventually(kube.left, lambda found: not found)


def test_a_pod_has_what_its_user_shares_by_the_hubs_word(atoll: Atoll, kube: Kube) -> None:
    kube.control(run=False)
    headers = {who: {"Authorization": f"token {who}"} for who in ("ada", "bob")}
    # what a request claims of groups and mounts is not even read
    claims = {"groups": ["modelers"], "shares": ["models"], "user": "ada"}
    body = {"notebook": notebook("1"), "environment": "base", **claims}
    for who, mounted in (("ada", ["/srv/shared/models"]), ("bob", [])):
        answer = httpx.post(f"{atoll.url}api/v1/jobs", json=body, headers=headers[who])
        job = Job.model_validate(answer.raise_for_status().json())
        spec = eventually(partial(kube.pod, job), bool)["spec"]
        home, *mounts = spec["containers"][0]["volumeMounts"]
        assert home == {"name": "home", "mountPath": "/home/jovyan"}
        assert [one["mountPath"] for one in mounts] == mounted, who
        assert all(one["readOnly"] for one in mounts), "modelers may not write"
        assert len(spec["volumes"]) == 1 + len(mounted)
        atoll.send(client.stop(job.id), who)
        eventually(partial(atoll.job, job, who), lambda found: found.status.final)


def test_a_pod_that_never_begins_says_what_it_waits_for_and_can_be_stopped(
    atoll: Atoll, kube: Kube
) -> None:
    kube.control(run=False)
    job = atoll.submit(notebook("1"))
    eventually(lambda: kube.pod(job), bool)
    words = "0/1 nodes are available: 1 Insufficient cpu."
    unscheduled = {"type": "PodScheduled", "status": "False", "message": words}
    kube.status(job, conditions=[unscheduled])

    waits = atoll.until(job, lambda found: found.reason == "unschedulable")
    assert waits.status == JobStatus.STARTING
    assert waits.message == f"No node can take it now: {words}"
    atoll.send(client.stop(job.id))
    done = atoll.final(job)
    assert (done.status, done.message) == (JobStatus.STOPPED, "It was stopped.")
    eventually(kube.left, lambda found: not found)


def test_an_image_that_cannot_be_had_fails_the_job_after_a_while(atoll: Atoll, kube: Kube) -> None:
    kube.control(run=False)
    job = atoll.submit(notebook("1"))
    pod = eventually(lambda: kube.pod(job), bool)
    assert pod is not None
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "base:1: not found"}}
    kube.status(
        job,
        startTime=pod["metadata"]["creationTimestamp"],
        conditions=[{"type": "PodScheduled", "status": "True"}],
        containerStatuses=[{"name": "job", "image": "base:1", "state": waiting}],
    )

    done = atoll.final(job)

    assert (done.status, done.reason) == (JobStatus.FAILED, "image_pull")
    assert "base:1 cannot be pulled: base:1: not found" in str(done.message)


def test_a_pod_that_ends_before_it_has_the_job_is_made_again_a_few_times(
    atoll: Atoll, kube: Kube
) -> None:
    kube.control(run=False)
    job = atoll.submit(notebook("1"))
    seen = set()
    for _ in range(3):
        pod = eventually(
            lambda: kube.pod(job), lambda one: one and one["metadata"]["uid"] not in seen
        )
        assert pod is not None
        seen.add(pod["metadata"]["uid"])
        ended = {"terminated": {"exitCode": 128, "reason": "StartError", "message": "no python"}}
        kube.status(job, phase="Failed", containerStatuses=[{"name": "job", "state": ended}])

    done = atoll.final(job)

    assert (done.status, done.reason) == (JobStatus.FAILED, "start_failed")
    assert atoll.log(done).count("[Its pod ended (StartError, code 128). no python]") == 3


def test_a_pod_that_is_deleted_before_it_has_the_job_is_made_again(
    atoll: Atoll, kube: Kube
) -> None:
    kube.control(run=False)
    job = atoll.submit(notebook("print('ran')"))
    eventually(lambda: kube.pod(job), bool)

    kube.control(run=True)
    kube.delete(job)
    done = atoll.final(job)

    assert done.status == JobStatus.SUCCEEDED, done
    assert "ran" in printed(atoll.output(done))


def test_a_pod_that_somebody_deletes_has_failed_and_is_not_run_again(
    atoll: Atoll, kube: Kube, tmp_path: Path
) -> None:
    job = atoll.submit(notebook("print('kept')", counted(tmp_path, gated(tmp_path / "gate"))))
    atoll.in_cell(job, 2)

    kube.delete(job)
    done = atoll.final(job)

    assert (done.status, done.reason) == (JobStatus.FAILED, "deleted"), done
    assert "deleted by somebody in cell 2" in str(done.message)
    assert "kept" in printed(atoll.output(done))
    assert runs(tmp_path) == 1


def test_with_retries_it_is_run_again_as_a_job_of_its_own(
    atoll: Atoll, kube: Kube, tmp_path: Path
) -> None:
    document = notebook("print('kept')", counted(tmp_path, gated(tmp_path / "gate")))
    job = atoll.submit(document, retries=1)
    atoll.in_cell(job, 2)
    kube.delete(job)
    first = atoll.final(job)
    assert (first.reason, first.retries) == ("deleted", 1)
    assert first.retried_by is not None
    second = atoll.send(client.job(first.retried_by))
    (tmp_path / "gate").touch()
    last = atoll.final(second)
    assert (last.status, last.retry_of, last.retries) == (JobStatus.SUCCEEDED, job.id, 0)
    assert runs(tmp_path) == 2
    eventually(kube.left, lambda found: not found)


def test_the_cluster_may_be_away_while_a_job_runs_and_ends(
    atoll: Atoll, kube: Kube, tmp_path: Path
) -> None:
    job = atoll.submit(notebook(counted(tmp_path, gated(tmp_path / "gate"))))
    atoll.in_cell(job, 1)
    kube.control(away=True)
    (tmp_path / "gate").touch()
    done = atoll.final(job, within_s=60)
    assert done.status == JobStatus.SUCCEEDED, done
    kube.control(away=False)

    eventually(kube.left, lambda found: not found)
    assert runs(tmp_path) == 1


def test_what_the_cluster_refuses_is_said_in_its_own_words(atoll: Atoll, kube: Kube) -> None:
    kube.control(refuse="pods is forbidden: exceeded quota: jobs")
    job = atoll.submit(notebook("print('ran')"))

    told = atoll.until(job, lambda found: found.reason == "cluster_refused")
    assert "exceeded quota: jobs" in str(told.message)
    assert told.status == JobStatus.STARTING
    kube.control(refuse="")
    assert atoll.final(job).status == JobStatus.SUCCEEDED


def test_what_cannot_be_cleared_now_keeps_no_other_job_from_its_turn(
    platform: Platform, kube: Kube, tmp_path: Path
) -> None:
    atoll = platform.spoken[-1]
    left = atoll.submit(notebook(counted(tmp_path, gated(tmp_path / "gate"))))
    atoll.in_cell(left, 1)
    kube.control(away=True)
    (tmp_path / "gate").touch()
    assert atoll.final(left).status == JobStatus.SUCCEEDED
    platform.kill()  # and the next finds the cluster away, and the pod there

    atoll = platform.start()
    waits = atoll.submit(notebook("print('later')"))
    told = atoll.until(waits, lambda found: found.reason == "unavailable")
    assert "Kubernetes" in str(told.message)
    kube.control(away=False)

    assert atoll.final(waits, within_s=90).status == JobStatus.SUCCEEDED
    eventually(kube.left, lambda found: not found, within_s=90)
