"""kill -9 of the service and of pods, and disks lost: every notebook runs once, and nothing is lost."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from atoll.jobs import client
from atoll.jobs.models import Job, JobStatus
from atoll.kit.errors import UnavailableError
from atoll.kit.home import Home
from atoll.kit.processes import marked

from tests.moments import moments

from .platform import Atoll, eventually, notebook, printed
from .test_kills import Platform, counted, gated, runs
from .test_pods import PODS, Kube, cluster, kube, platform_on

__all__ = ["cluster", "kube"]  # fixtures


@pytest.fixture
def platform(cluster: Path, kube: Kube, home: Home) -> Iterator[Platform]:
    with platform_on(cluster, home, PODS) as found:
        yield found


def test_a_job_goes_on_without_the_service_which_then_has_all_it_said(
    platform: Platform, kube: Kube, tmp_path: Path
) -> None:
    atoll = platform.start()
    talk = gated(tmp_path / "gate") + "\nfor n in range(500): print('line', n)"
    job = atoll.submit(notebook(counted(tmp_path, talk), "print('the end')"))
    atoll.in_cell(job, 1)
    platform.kill()
    (tmp_path / "gate").touch()
    eventually(lambda: processes("execute", job), lambda found: not found)

    atoll = platform.start()
    done = atoll.final(job)

    assert done.status == JobStatus.SUCCEEDED, done
    assert runs(tmp_path) == 1
    assert "the end" in printed(atoll.output(done))
    assert lines(atoll, done) == [f"line {n}" for n in range(500)]


def processes(program: str, job: Job) -> list[int]:
    found = []
    for one in marked("ATOLL_JOB", job.id):
        with suppress(psutil.NoSuchProcess):  # it has just ended
            if any(program in part for part in one.cmdline()):
                found.append(one.pid)
    return found


def lines(atoll: Atoll, job: Job) -> list[str]:
    return [line for line in atoll.log(job).splitlines() if line.startswith("line ")]


POINTS = [
    "atoll.jobs.runners.kubernetes:KubernetesRunner.start:before",
    "atoll.jobs.manifests:secret:before",
    "atoll.jobs.manifests:pod:before",
    "atoll.jobs.claims:tried:before",
    "atoll.jobs.claims:tried:after",
    "atoll.jobs.claims:take:before",
    "atoll.jobs.claims:take:after",
    "atoll.jobs.reports:Reports.claim:after",
    "atoll.jobs.reports:Reports.progress:after",
    "atoll.jobs.reports:Reports.log:after",
    "atoll.jobs.directory:Draft.keep:before",
    "atoll.jobs.directory:Draft.keep:after",
    "atoll.jobs.reports:Reports.result:before",
    "atoll.jobs.reports:Reports.result:after",
    "atoll.jobs.reconciler:JobReconciler._finish:before",
    "atoll.jobs.runners.kubernetes:KubernetesRunner.clear:before",
    "atoll.jobs.runners.kubernetes:KubernetesRunner._delete:before",
]


def test_a_service_killed_when_it_had_made_a_pod_says_what_that_waits_for(
    platform: Platform, kube: Kube
) -> None:
    kube.control(run=False)
    atoll = platform.start(die_at="atoll.jobs.claims:tried:before")
    with suppress(UnavailableError):
        atoll.submit(notebook("1"))
    assert platform.process is not None
    eventually(platform.process.poll, lambda code: code is not None)

    atoll = platform.start()
    [job] = atoll.send(client.jobs()).items
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: no room"}
    kube.status(job, conditions=[unscheduled])

    waits = atoll.until(job, lambda found: found.reason == "unschedulable")
    assert waits.message == "No node can take it now: 0/1 nodes: no room"


@pytest.mark.parametrize("point", moments(POINTS))
def test_a_service_killed_anywhere_runs_the_notebook_once(
    platform: Platform, kube: Kube, tmp_path: Path, point: str
) -> None:
    atoll = platform.start(die_at=point)
    talk = "for n in range(50): print('line', n)"
    with suppress(UnavailableError):  # it may die before it has answered
        atoll.submit(notebook(counted(tmp_path, talk), "print('the end')"))
    assert platform.process is not None
    eventually(platform.process.poll, lambda code: code is not None)
    assert platform.process.returncode == -signal.SIGKILL

    atoll = platform.start()
    [job] = atoll.send(client.jobs()).items
    done = atoll.final(job)

    assert done.status == JobStatus.SUCCEEDED, (done, atoll.log(done))
    assert runs(tmp_path) == 1
    assert "the end" in printed(atoll.output(done))
    assert lines(atoll, done) == [f"line {n}" for n in range(50)]
    eventually(kube.left, lambda found: not found)


@pytest.mark.parametrize("service_killed", [False, True])
def test_a_pod_that_is_killed_has_failed_and_is_not_run_again(
    platform: Platform, kube: Kube, tmp_path: Path, service_killed: bool
) -> None:
    atoll = platform.start()
    job = atoll.submit(notebook("print('kept')", counted(tmp_path, gated(tmp_path / "gate"))))
    atoll.in_cell(job, 2)
    eventually(lambda: atoll.output(job), lambda found: "kept" in printed(found))
    if service_killed:
        platform.kill()
    for one in marked("ATOLL_JOB", job.id):
        with suppress(psutil.NoSuchProcess):
            one.kill()
    if service_killed:
        atoll = platform.start()

    done = atoll.final(job)

    assert (done.status, done.reason) == (JobStatus.FAILED, "lost"), done
    assert "in cell 2" in str(done.message)
    assert "kept" in printed(atoll.output(done))
    assert runs(tmp_path) == 1


def test_the_notebooks_process_alone_killed_is_told_by_its_pod(
    platform: Platform, tmp_path: Path
) -> None:
    atoll = platform.start()
    job = atoll.submit(notebook(counted(tmp_path, gated(tmp_path / "gate"))))
    atoll.in_cell(job, 1)

    [pid] = processes("execute", job)
    next(one for one in marked("ATOLL_JOB", job.id) if one.pid == pid).kill()
    done = atoll.final(job)

    assert (done.status, done.reason) == (JobStatus.FAILED, "lost"), done
    assert "vanished in cell 1" in str(done.message)
    assert runs(tmp_path) == 1


def test_a_service_that_lost_its_disk_has_the_whole_log_again(
    platform: Platform, tmp_path: Path
) -> None:
    atoll = platform.start()
    talk = "for n in range(100): print('line', n)"
    job = atoll.submit(notebook(talk, counted(tmp_path, gated(tmp_path / "gate")), talk))
    atoll.in_cell(job, 2)
    eventually(lambda: lines(atoll, job), lambda found: len(found) == 100)
    platform.kill()
    shutil.rmtree(platform.home.jobs / job.id)

    atoll = platform.start()
    (tmp_path / "gate").touch()
    done = atoll.final(job)

    assert done.status == JobStatus.SUCCEEDED, done
    assert lines(atoll, done) == [f"line {n}" for n in range(100)] * 2
    assert "line 99" in printed(atoll.output(done))


def test_a_job_stopped_while_no_service_was_there_to_end_it_is_stopped(
    platform: Platform, kube: Kube, tmp_path: Path
) -> None:
    atoll = platform.start(die_at="atoll.jobs.runners.kubernetes:KubernetesRunner.end:before")
    job = atoll.submit(notebook(counted(tmp_path, gated(tmp_path / "gate"))))
    atoll.in_cell(job, 1)
    with suppress(UnavailableError):
        atoll.send(client.stop(job.id))
    assert platform.process is not None
    eventually(platform.process.poll, lambda code: code is not None)

    atoll = platform.start()

    assert atoll.final(job).status == JobStatus.STOPPED
    eventually(kube.left, lambda found: not found)


def test_pods_of_jobs_that_are_over_are_removed_whoever_left_them(
    platform: Platform, kube: Kube, tmp_path: Path
) -> None:
    atoll = platform.start(die_at="atoll.jobs.runners.kubernetes:KubernetesRunner.clear:before")
    job = atoll.submit(notebook(counted(tmp_path)))
    assert platform.process is not None
    eventually(platform.process.poll, lambda code: code is not None)
    assert kube.names("pods") == kube.names("secrets") == [job.id]

    atoll = platform.start()

    eventually(kube.left, lambda found: not found)
    assert atoll.job(job).status == JobStatus.SUCCEEDED
