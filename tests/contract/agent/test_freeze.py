"""Real processes in real cgroups of the tests' own stand still, and always go on again."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest
from atoll.agent import watchdog
from atoll.agent.cgroups import Freezer, freezer_of
from atoll.agent.errors import FreezeError
from atoll.agent.freeze import LIMIT_S, frozen, thaw_leftovers

from tests.contract.agent.node import cgroups_named, hierarchies, until

ROOT = Path(__file__).parents[3]
COUNTER = """
import sys
n = 0
while True:
    n += 1
    with open(sys.argv[1], "r+b", buffering=0) as file:
        file.write(b"%019d" % n)
"""
BOMB = """
import os, sys, time
while True:
    try:
        if os.fork() == 0 and os.getpid() % 3:
            os._exit(0)
        os.waitpid(-1, os.WNOHANG)
    except OSError:
        pass  # as many as are allowed, or no child
    with open(sys.argv[1], "r+b", buffering=0) as file:
        file.write(b"%019d" % time.monotonic_ns())
"""
AGENT = """
import sys, time
from pathlib import Path
from atoll.agent.cgroups import Freezer
from atoll.agent.freeze import frozen
freezer, state, limit_s = Freezer(Path(sys.argv[1]), int(sys.argv[2])), *sys.argv[3:]
with frozen(freezer, Path(state), limit_s=float(limit_s)):
    print("frozen", flush=True)
    time.sleep(1000)
"""


class Box:
    """A cgroup of our own with processes in it that we start, and how far they have come."""

    def __init__(self, name: str, version: int, progress: Path) -> None:
        top = hierarchies()[version]
        self.freezer = Freezer(top / name, version)
        self.freezer.directory.mkdir()
        self._progress = progress
        self._progress.write_bytes(b"0" * 19)
        self._bound = pids_group(name)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, program: str, most: int = 8) -> int:
        """Starts a Python program with at most `most` processes; the pid of its first."""
        (self._bound / "pids.max").write_text(str(most))
        groups = {self.freezer.directory, self._bound}

        def enter() -> None:
            for group in groups:
                (group / "cgroup.procs").write_text("0")

        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", program, str(self._progress)],
            preexec_fn=enter,  # noqa: PLW1509 - no threads here, and nothing else moves it in time
        )
        until(lambda: self.progress() > 0, "the program starts")
        return self._process.pid

    def progress(self) -> int:
        """How far they have come."""
        return int(self._progress.read_bytes() or b"0")

    def goes_on(self, within_s: float = 5.0) -> float:
        """Waits until they move; how long that took."""
        seen, began = self.progress(), time.monotonic()
        until(lambda: self.progress() != seen, "the group goes on", within_s)
        return time.monotonic() - began

    def stands_still(self) -> bool:
        """Whether nothing moves during 50 ms, many times what one step takes."""
        seen = self.progress()
        time.sleep(0.05)
        return self.progress() == seen

    def close(self) -> None:
        """Kills what is in the group, and removes it."""
        (self._bound / "pids.max").write_text("0")  # so that a bomb has no more children
        self.freezer.thaw()
        until(self._emptied, "the group is empty", 20)
        if self._process is not None:
            self._process.wait(5)
        for group in {self.freezer.directory, self._bound}:
            until(lambda group=group: removed(group), "the group can be removed")

    def _emptied(self) -> bool:
        pids = (self.freezer.directory / "cgroup.procs").read_text().split()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        if self._process is not None:
            self._process.poll()
        return not pids


def removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def pids_group(name: str) -> Path:
    """A group in which the number of processes is bounded: v1's own hierarchy, or v2's."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup ") and "pids" in after.rpartition(" ")[2].split(","):
            group = Path(before.split()[4]) / name
            group.mkdir()
            return group
    return hierarchies()[2] / name


@pytest.fixture(params=sorted(hierarchies()), ids=lambda version: f"v{version}")
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    made = Box(f"atoll-freeze-{os.getpid()}", request.param, tmp_path / "progress")
    yield made
    made.close()


def start_agent(box: Box, state: Path, limit_s: float = LIMIT_S) -> subprocess.Popen[bytes]:
    """An agent that has frozen the box, and hangs."""
    freezer = box.freezer
    arguments = [freezer.directory, freezer.version, state, limit_s]
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, *map(str, arguments)],
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT / "extensions")},
    )  # fmt: skip
    assert agent.stdout is not None
    assert agent.stdout.readline() == b"frozen\n"
    return agent


def watchdog_of(agent: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
    assert len(children) == 1
    return int(children[0])


def end(agent: subprocess.Popen[bytes]) -> None:
    agent.kill()
    agent.communicate()


def test_a_writer_stands_still_for_the_context_and_no_longer(box: Box, tmp_path: Path) -> None:
    box.start(COUNTER)
    with frozen(box.freezer, tmp_path / "state") as cut:
        assert box.freezer.frozen()
        assert box.stands_still()
    box.goes_on()
    assert cut.seconds > 0
    assert list((tmp_path / "state").iterdir()) == []


def test_a_fork_bomb_stands_still_too(box: Box, tmp_path: Path) -> None:
    box.start(BOMB, most=64)
    until(
        lambda: len((box.freezer.directory / "cgroup.procs").read_text().split()) > 20, "it grows"
    )
    with frozen(box.freezer, tmp_path / "state"):
        before = (box.freezer.directory / "cgroup.procs").read_text()
        assert box.stands_still()
        assert (box.freezer.directory / "cgroup.procs").read_text() == before
    box.goes_on()


def test_an_error_inside_thaws(box: Box, tmp_path: Path) -> None:
    box.start(COUNTER)
    with pytest.raises(ZeroDivisionError), frozen(box.freezer, tmp_path / "state"):
        raise ZeroDivisionError
    box.goes_on()


def test_what_takes_longer_than_the_limit_is_thawed_and_told(box: Box, tmp_path: Path) -> None:
    box.start(COUNTER)
    with (
        pytest.raises(FreezeError, match=r"after 0\.3 s") as caught,
        frozen(box.freezer, tmp_path / "state", limit_s=0.3),
    ):
        box.goes_on()
    assert caught.value.code == "freeze_failed"


def test_a_killed_agents_container_goes_on_at_once(box: Box, tmp_path: Path) -> None:
    box.start(COUNTER)
    agent = start_agent(box, tmp_path / "state")
    assert box.stands_still()
    end(agent)
    box.goes_on()
    until(lambda: list((tmp_path / "state").iterdir()) == [], "the note is removed")


def test_the_kernel_spares_the_watchdog_where_the_agents_memory_ends(
    box: Box, tmp_path: Path
) -> None:
    box.start(COUNTER)
    agent = start_agent(box, tmp_path / "state")
    score = Path(f"/proc/{watchdog_of(agent)}/oom_score_adj").read_text()
    end(agent)
    box.goes_on()
    # What root may do here: some sandboxes let nobody lower it.
    may = subprocess.run(["sh", "-c", "echo -1000 >/proc/self/oom_score_adj"], check=False)
    ours = Path("/proc/self/oom_score_adj").read_text()
    assert score == ("-1000\n" if may.returncode == 0 else ours)


def test_a_watchdog_asks_to_be_spared_and_watches_where_it_may_not(tmp_path: Path) -> None:
    watchdog.survive(str(tmp_path / "score"))
    assert (tmp_path / "score").read_text() == "-1000"
    watchdog.survive(str(tmp_path))  # a directory: it cannot be written


def test_a_hanging_agents_container_goes_on_after_the_limit(box: Box, tmp_path: Path) -> None:
    box.start(COUNTER)
    agent = start_agent(box, tmp_path / "state", limit_s=1.0)
    agent.send_signal(signal.SIGSTOP)
    assert box.stands_still()
    box.goes_on()
    end(agent)


def test_where_the_watchdog_was_killed_too_the_next_agent_thaws(box: Box, tmp_path: Path) -> None:
    box.start(COUNTER)
    state = tmp_path / "state"
    agent = start_agent(box, state)
    assert thaw_leftovers(state) == []  # its agent lives
    assert box.stands_still()
    os.kill(watchdog_of(agent), signal.SIGKILL)
    end(agent)
    assert box.stands_still()
    assert thaw_leftovers(state) == [box.freezer.directory]
    box.goes_on()
    assert thaw_leftovers(state) == []


def test_an_agent_that_starts_thaws_what_a_killed_one_left(box: Box, tmp_path: Path) -> None:
    """The process itself, as a node runs it; the service is away."""
    box.start(COUNTER)
    state, token = tmp_path / "state", tmp_path / "token"
    token.write_text("nobody's")
    agent = start_agent(box, state)
    os.kill(watchdog_of(agent), signal.SIGKILL)
    end(agent)
    assert box.stands_still()
    command = [sys.executable, "-m", "atoll.apps.agent", "run"]
    command += ["--service", "http://127.0.0.1:1/", "--node", "here"]
    command += ["--token-file", str(token), "--state", str(state)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "extensions")}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        box.goes_on(20)
        until(lambda: not list(state.glob("*.frozen")), "its note is gone")
    finally:
        process.terminate()
        process.wait(20)


def test_a_note_that_was_cut_off_or_whose_group_is_gone_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "1.frozen").write_text('{"directory": "/sys/fs')
    (tmp_path / "2.frozen").write_text('{"directory": "/sys/fs/cgroup/gone", "version": 1}')
    assert thaw_leftovers(tmp_path) == [Path("/sys/fs/cgroup/gone")]
    assert list(tmp_path.iterdir()) == []


def test_a_note_that_a_starting_agent_took_for_a_left_one_is_written_again(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its locking it is empty and nobody's."""
    box.start(COUNTER)
    state = tmp_path / "state"
    taken: list[Path] = []

    def lock(file: TextIO, how: int, flock: Callable[[TextIO, int], None] = fcntl.flock) -> None:
        if not taken:
            taken.extend(state.iterdir())
            assert thaw_leftovers(state) == []
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", lock)
    with frozen(box.freezer, state):
        assert [path.exists() for path in taken] == [True]


def test_what_somebody_else_has_frozen_stays_frozen(box: Box, tmp_path: Path) -> None:
    box.start(COUNTER)
    box.freezer.freeze(2.0)
    with frozen(box.freezer, tmp_path / "state") as cut:
        assert box.freezer.frozen()
    assert box.freezer.frozen()
    assert cut.seconds == 0
    box.freezer.thaw()
    box.goes_on()


def test_a_group_that_is_gone_cannot_be_frozen(box: Box, tmp_path: Path) -> None:
    gone = Freezer(box.freezer.directory / "gone", box.freezer.version)
    with pytest.raises(FreezeError, match="gone"), frozen(gone, tmp_path / "state"):
        pass


def test_a_process_leads_to_its_freezer(box: Box) -> None:
    pid = box.start(COUNTER)
    found = freezer_of("/not/this", pid=pid)
    if found.version == box.freezer.version:
        assert found == box.freezer
    assert found.file.exists()


def test_a_group_that_is_nowhere_has_no_freezer() -> None:
    with pytest.raises(FreezeError, match="no freezer"):
        freezer_of("/atoll-there-is-none")
    assert cgroups_named("/atoll-there-is-none") == []
