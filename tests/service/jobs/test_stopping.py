"""Jobs that are stopped, that never end, and that leave something behind."""

from __future__ import annotations

import errno
import time
from pathlib import Path

import psutil
import pytest
from atoll.jobs import client
from atoll.jobs.directory import JobDirectory
from atoll.jobs.models import Job, JobStatus, JobTarget
from atoll.jobs.settings import JobSettings
from atoll.kit.home import Home
from atoll.kit.processes import marked

from .conftest import FAST
from .platform import Atoll, eventually, notebook, printed

FOREVER = "import time\nprint('in it', flush=True)\nwhile True: time.sleep(0.05)"


def nothing_is_left_of(job: Job) -> bool:
    return not marked("ATOLL_JOB", job.id)


def test_a_running_job_is_stopped_and_keeps_what_it_had(atoll: Atoll) -> None:
    job = atoll.submit(notebook("print('kept')", FOREVER))
    atoll.in_cell(job, 2)

    asked = atoll.send(client.stop(job.id))
    done = atoll.final(job)

    assert asked.target == JobTarget.STOPPED
    assert asked.reason == "stopping"
    assert done.status == JobStatus.STOPPED
    assert done.reason == "stopped"
    assert nothing_is_left_of(done)
    assert "kept" in printed(atoll.output(done))
    assert atoll.send(client.stop(job.id)) == done


def test_a_job_that_ignores_being_asked_is_killed(atoll: Atoll) -> None:
    stubborn = """
import signal, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
print('in it', flush=True)
while True:
    try:
        time.sleep(0.05)
    except BaseException:
        pass
"""
    job = atoll.submit(notebook(stubborn))
    eventually(lambda: atoll.log(job), lambda log: "in it" in log)

    atoll.send(client.stop(job.id))
    done = atoll.final(job)

    assert done.status == JobStatus.STOPPED
    assert nothing_is_left_of(done)


def test_a_cell_that_swallows_the_interrupt_is_followed_by_no_other(
    atoll: Atoll, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    job = atoll.submit(
        notebook(
            "import time\ntry:\n    print('in it', flush=True)\n    time.sleep(60)\n"
            "except KeyboardInterrupt:\n    pass",
            f"open({str(trace)!r}, 'w')",
        )
    )
    eventually(lambda: atoll.log(job), lambda log: "in it" in log)

    atoll.send(client.stop(job.id))

    assert atoll.final(job).status == JobStatus.STOPPED
    assert not trace.exists()


def test_a_job_that_comes_up_can_be_stopped(atoll: Atoll) -> None:
    for _ in range(3):
        job = atoll.submit(notebook(FOREVER))
        atoll.until(job, lambda found: found.status != JobStatus.QUEUED)
        atoll.send(client.stop(job.id))

        done = atoll.final(job)

        assert done.status == JobStatus.STOPPED
        assert nothing_is_left_of(done)


def test_a_job_ends_at_its_time_limit(atoll: Atoll) -> None:
    job = atoll.submit(notebook("print('kept')", FOREVER), timeout_s=10)  # kernel included

    done = atoll.final(job)

    assert done.status == JobStatus.FAILED
    assert done.reason == "time_limit"
    assert done.message == "It reached its time limit of 10 seconds in cell 2."
    assert nothing_is_left_of(done)
    assert "kept" in printed(atoll.output(done))


def test_daemons_that_a_job_forks_end_with_it(atoll: Atoll, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    forking = f"""
import os, time, signal
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            with open({str(pids)!r}, 'a') as file:
                print(os.getpid(), file=file, flush=True)
            while True:
                time.sleep(1)
        os._exit(0)
while len(open({str(pids)!r}, 'a+').readlines() or open({str(pids)!r}).readlines()) < 3:
    time.sleep(0.02)
print('forked')
"""
    done = atoll.run(notebook(forking))

    assert done.status == JobStatus.SUCCEEDED, atoll.log(done)
    found = [int(line) for line in pids.read_text().split()]
    assert len(found) == 3
    assert not any(psutil.pid_exists(pid) and running(pid) for pid in found)
    assert nothing_is_left_of(done)


def running(pid: int) -> bool:
    return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_waiting_job_is_stopped_before_it_began(atoll: Atoll, home: Home) -> None:
    running = [atoll.submit(notebook(FOREVER)) for _ in range(2)]
    waiting = atoll.submit(notebook("print('never')"))
    for job in running:
        atoll.in_cell(job, 1)

    atoll.send(client.stop(waiting.id))
    done = atoll.final(waiting)

    assert done.status == JobStatus.STOPPED
    assert done.started_at is None
    assert not (home.jobs / waiting.id).exists()


def test_a_job_that_cannot_be_set_up_says_why_and_goes_on_once_it_can(
    atoll: Atoll, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(JobDirectory, "prepare", full)
    job = atoll.submit(notebook("print('at last')"))

    waiting = atoll.until(job, lambda found: found.reason == "disk_full")
    assert waiting.status == JobStatus.STARTING
    assert "It is tried again." in str(waiting.message)
    monkeypatch.undo()

    assert atoll.final(job).status == JobStatus.SUCCEEDED


class TestOnePlace:
    @pytest.fixture
    def settings(self) -> JobSettings:
        return FAST.model_copy(update={"places": 1})

    def test_the_line_moves_up_as_jobs_end(self, atoll: Atoll, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        first = atoll.submit(
            notebook(f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.02)")
        )
        atoll.in_cell(first, 1)
        others = [atoll.submit(notebook(f"print({n})")) for n in range(3)]
        line = [atoll.until(job, lambda found: found.reason == "queue_full") for job in others]

        assert [job.position for job in line] == [1, 2, 3]
        assert [job.message for job in line] == [
            "You are next; the only place is in use.",
            "1 ahead of you; the only place is in use.",
            "2 ahead of you; the only place is in use.",
        ]
        [queue] = atoll.send(client.queues())
        assert (queue.name, queue.places, queue.running, queue.queued) == ("default", 1, 1, 3)
        atoll.send(client.stop(others[0].id))
        atoll.until(others[1], lambda found: found.position == 1)
        gate.touch()

        done = [atoll.final(job) for job in (first, *others[1:])]

        assert [job.status for job in done] == [JobStatus.SUCCEEDED] * 3
        began = [job.started_at for job in done if job.started_at is not None]
        ended = [job.finished_at for job in done if job.finished_at is not None]
        assert all(end <= start for end, start in zip(ended[:-1], began[1:], strict=True))

    def test_no_more_run_at_once_than_there_are_places(self, atoll: Atoll) -> None:
        jobs = [atoll.submit(notebook("import time; time.sleep(0.3)")) for _ in range(3)]
        most = 0
        while not all(atoll.job(job).status.final for job in jobs):
            [queue] = atoll.send(client.queues())
            most = max(most, queue.running)
            time.sleep(0.01)

        assert most == 1
