"""kill -9 of the service and of jobs: every job is run once, found again, and told the truth about."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from atoll.jobs import client
from atoll.jobs.models import Job, JobStatus
from atoll.jobs.settings import JobSettings
from atoll.kit.errors import UnavailableError
from atoll.kit.home import Home
from atoll.kit.processes import marked

from tests.databases import variables
from tests.forked import Forked
from tests.moments import moments

from .conftest import FAST, end_all
from .platform import Atoll, eventually, notebook, printed

ROOT = Path(__file__).parents[3]


@dataclass
class Platform:
    """The service as a process that can be killed and started again on the same home."""

    home: Home
    settings: JobSettings
    environ: dict[str, str] = field(default_factory=dict)
    process: Forked | None = None
    spoken: list[Atoll] = field(default_factory=list)

    def start(self, die_at: str = "") -> Atoll:
        """Start it; `die_at` names a function that it does not survive."""
        port = self.home.run / "port"
        port.unlink(missing_ok=True)
        self.process = Forked(
            "tests.service.jobs.service_under_test",
            str(self.home.path),
            self.settings.model_dump_json(),
            die_at,
            env={**variables(self.home), **self.environ},
        )
        eventually(port.exists, bool)
        host = self.environ.get("TEST_HOST", "127.0.0.1")
        atoll = Atoll(f"http://{host}:{port.read_text()}/")
        self.spoken.append(atoll)
        return atoll

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End everything."""
        if self.process is not None:
            self.kill()
        end_all(self.home)
        for atoll in self.spoken:
            atoll.close()


@pytest.fixture
def platform(home: Home) -> Iterator[Platform]:
    platform = Platform(home, FAST)
    yield platform
    platform.close()


def counted(folder: Path, source: str = "") -> str:
    """A cell that leaves a file for every time it is run."""
    return f"import os, time\nopen(f'{folder}/run-{{os.getpid()}}', 'w')\n{source}"


def gated(gate: Path) -> str:
    return (
        "print('in it', flush=True)\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.02)\nprint('through')"
    )


def runs(folder: Path) -> int:
    return len(list(folder.glob("run-*")))


def test_a_job_goes_on_without_the_service_and_the_next_adopts_it(
    platform: Platform, tmp_path: Path
) -> None:
    atoll = platform.start()
    gate = tmp_path / "gate"
    job = atoll.submit(notebook(counted(tmp_path, gated(gate)), "print('the end')"))
    atoll.in_cell(job, 1)
    platform.kill()

    atoll = platform.start()
    assert atoll.job(job).status == JobStatus.RUNNING
    gate.touch()
    done = atoll.final(job)

    assert done.status == JobStatus.SUCCEEDED, done
    assert runs(tmp_path) == 1
    assert "the end" in printed(atoll.output(done))
    assert not marked("ATOLL_JOB", job.id)


def test_what_a_job_says_at_its_end_counts_though_nobody_listened(
    platform: Platform, tmp_path: Path
) -> None:
    atoll = platform.start()
    good = atoll.submit(notebook(counted(tmp_path, gated(tmp_path / "gate"))))
    bad = atoll.submit(notebook(counted(tmp_path, gated(tmp_path / "gate") + "\n1 / 0")))
    for job in (good, bad):
        atoll.in_cell(job, 1)
    platform.kill()
    (tmp_path / "gate").touch()
    for job in (good, bad):
        eventually(lambda job=job: marked("ATOLL_JOB", job.id), lambda found: not found)  # type: ignore[misc]

    atoll = platform.start()

    assert atoll.final(good).status == JobStatus.SUCCEEDED
    failed = atoll.final(bad)
    assert failed.status == JobStatus.FAILED
    assert failed.failure is not None
    assert failed.failure.name == "ZeroDivisionError"
    assert runs(tmp_path) == 2


def test_a_job_stopped_after_the_service_came_back_is_stopped(
    platform: Platform, tmp_path: Path
) -> None:
    atoll = platform.start()
    job = atoll.submit(notebook(counted(tmp_path, gated(tmp_path / "gate"))))
    atoll.in_cell(job, 1)
    platform.kill()
    atoll = platform.start()

    atoll.send(client.stop(job.id))

    assert atoll.final(job).status == JobStatus.STOPPED
    assert not marked("ATOLL_JOB", job.id)


@pytest.mark.parametrize("service_killed", [False, True])
def test_a_job_that_is_killed_has_failed_and_is_not_run_again(
    platform: Platform, tmp_path: Path, service_killed: bool
) -> None:
    atoll = platform.start()
    job = atoll.submit(notebook("print('kept')", counted(tmp_path, gated(tmp_path / "gate"))))
    atoll.in_cell(job, 2)
    eventually(lambda: atoll.output(job), lambda found: "kept" in printed(found))
    if service_killed:
        platform.kill()
    kill_process_of(job, platform.home)
    if service_killed:
        atoll = platform.start()

    done = atoll.final(job)

    assert done.status == JobStatus.FAILED
    assert done.reason == "lost"
    assert "in cell 2" in str(done.message)
    assert "kept" in printed(atoll.output(done))
    assert not marked("ATOLL_JOB", job.id)
    assert runs(tmp_path) == 1


def kill_process_of(job: Job, home: Home) -> None:
    said = json.loads((home.jobs / job.id / "process.json").read_bytes())
    os.kill(said["pid"], signal.SIGKILL)


POINTS = [
    "atoll.jobs.reconciler:JobReconciler._find_environment:before",
    "atoll.jobs.reconciler:JobReconciler._find_environment:after",
    "atoll.jobs.reconciler:JobReconciler._begin:before",
    "atoll.jobs.reconciler:JobReconciler._begin:after",
    "atoll.jobs.directory:JobDirectory.prepare:before",
    "atoll.jobs.directory:JobDirectory.prepare:after",
    "atoll.jobs.runners.local:LocalRunner._spawn:before",
    "atoll.jobs.runners.local:LocalRunner._spawn:after",
    "atoll.jobs.reconciler:JobReconciler._note:before",
    "atoll.jobs.reconciler:JobReconciler._finish:before",
    "atoll.jobs.reconciler:JobReconciler._finish:after",
    "atoll.jobs.runners.local:LocalRunner.clear:before",
]


@pytest.mark.parametrize("point", moments(POINTS))
def test_a_service_killed_anywhere_runs_the_job_once(
    platform: Platform, tmp_path: Path, point: str
) -> None:
    atoll = platform.start(die_at=point)
    with suppress(UnavailableError):  # it may die before it has answered
        atoll.submit(notebook(counted(tmp_path), "print('the end')"))
    assert platform.process is not None
    eventually(platform.process.poll, lambda code: code is not None)
    assert platform.process.returncode == -signal.SIGKILL

    atoll = platform.start()
    [job] = atoll.send(client.jobs()).items
    done = atoll.final(job)

    assert done.status == JobStatus.SUCCEEDED, (done, atoll.log(done))
    assert runs(tmp_path) == 1
    assert "the end" in printed(atoll.output(done))
    folder = platform.home.jobs / job.id
    eventually(lambda: list(folder.glob("environment*")), lambda found: not found)


def test_jobs_that_wait_keep_their_places_over_a_kill(platform: Platform, tmp_path: Path) -> None:
    atoll = platform.start()
    gate = tmp_path / "gate"
    jobs = [atoll.submit(notebook(counted(tmp_path, gated(gate)))) for _ in range(4)]
    for job in jobs[:2]:
        atoll.in_cell(job, 1)
    platform.kill()

    atoll = platform.start()
    look: Callable[[Job], bool] = lambda found: found.reason == "queue_full"  # noqa: E731
    assert [atoll.until(job, look).position for job in jobs[2:]] == [1, 2]
    gate.touch()

    assert [atoll.final(job).status for job in jobs] == [JobStatus.SUCCEEDED] * 4
    assert runs(tmp_path) == 4


@pytest.mark.parametrize(
    "point",
    [
        "atoll.jobs.reconciler:JobReconciler._finish:before",
        "atoll.jobs.store:add_retry:before",
        "atoll.jobs.store:add_retry:after",
        "atoll.jobs.runners.local:LocalRunner.clear:before",
    ],
)
def test_a_service_killed_at_the_end_of_a_failed_job_runs_it_again_once(
    platform: Platform, tmp_path: Path, point: str
) -> None:
    atoll = platform.start(die_at=point)
    with suppress(UnavailableError):  # it may die before it has answered
        atoll.submit(notebook(counted(tmp_path, "1 / 0")), retries=1)
    assert platform.process is not None
    eventually(platform.process.poll, lambda code: code is not None)

    atoll = platform.start()
    first = eventually(lambda: atoll.send(client.jobs()).items, lambda found: len(found) == 2)[1]
    done = atoll.until(first, lambda found: found.status.final)
    [again, _] = atoll.send(client.jobs()).items
    last = atoll.final(again)

    assert (done.status, done.retried_by) == (JobStatus.FAILED, last.id)
    assert (last.status, last.retry_of, last.retried_by) == (JobStatus.FAILED, done.id, None)
    assert runs(tmp_path) == 2
