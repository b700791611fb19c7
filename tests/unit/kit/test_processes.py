"""Which process is which: told for good, whatever the clock does and whatever was kept before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
from atoll.kit.processes import ProcessId, has_mark


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-c", "input()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, env={"MARK": "m-1"}) as started:
        yield started
        started.kill()


def of(process: subprocess.Popen[bytes]) -> ProcessId:
    found = ProcessId.of(process.pid)
    assert found is not None
    return found


@pytest.mark.parametrize("step_s", [1, -3600, 0.01])
def test_a_process_is_the_same_after_the_clock_was_stepped(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    known = of(process)
    booted = psutil.boot_time() + step_s  # what a step changes of /proc/stat
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted)
    assert known.alive()
    assert of(process) == known
    known.send(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM


def test_an_ended_process_is_ended_also_while_nobody_has_waited_for_it(
    process: subprocess.Popen[bytes],
) -> None:
    known = of(process)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie from here on
    assert not known.alive()
    assert ProcessId.of(process.pid) is None
    process.wait()
    assert not known.alive()
    known.send(signal.SIGKILL)


def test_another_process_of_the_same_number_is_another(
    process: subprocess.Popen[bytes],
) -> None:
    known = of(process)
    boot, _, ticks = known.born.partition("/")
    assert not ProcessId(pid=known.pid, born=f"{boot}/{int(ticks) - 1}").alive()
    assert not ProcessId(pid=known.pid, born=f"another-boot/{ticks}").alive()


def test_what_versions_before_wrote_down_counts_as_ended(
    process: subprocess.Popen[bytes],
) -> None:
    started = psutil.Process(process.pid).create_time()
    kept = ProcessId.model_validate({"pid": process.pid, "started": started})
    assert not kept.alive()
    kept.send(signal.SIGKILL)
    assert process.poll() is None


def test_a_mark_is_the_running_processs_own(process: subprocess.Popen[bytes]) -> None:
    assert has_mark(process.pid, "MARK", "m-1")
    assert not has_mark(process.pid, "MARK", "m-2")
    assert not has_mark(1, "MARK", "m-1")
    process.kill()
    process.wait()
    assert not has_mark(process.pid, "MARK", "m-1")
