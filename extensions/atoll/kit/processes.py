"""Processes of this machine: told apart for good by pid and start, found and ended by a mark.

A mark is an environment variable such as `ATOLL_JOB=j-…`: every descendant inherits it, also one
that left its session and its parents (a daemon). That finds what a process group does not; it is
no security boundary, since a process may clear its environment.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

import psutil
from pydantic import BaseModel

# it ended meanwhile (psutil hands a plain error on where half of /proc/PID is gone), or it is
# another account's: not ours to see
_UNSEEN: Final = (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError)


class ProcessId(BaseModel, frozen=True):
    """A process that no later one can be taken for, however the clock is set meanwhile.

    One that was written down without `born`, as versions before did, counts as ended.
    """

    pid: int
    born: str = ""  # the machine's boot, and the clock ticks from it to the process's start

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The identity of a running process; None where it is gone already."""
        born = _born(pid)
        return cls(pid=pid, born=born) if born is not None else None

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        return self.born == _born(self.pid)

    def send(self, number: signal.Signals) -> None:
        """Signal it if it still runs."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _born(pid: int) -> str | None:
    """When a process began, in a form that no clock changes; None where none runs."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *_, ticks = stat.rpartition(b")")[2].split()[:20]  # fields 3 to 22 of proc(5)
    return None if state in b"ZX" else f"{_boot()}/{int(ticks)}"


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def has_mark(pid: int, variable: str, value: str) -> bool:
    """Whether this process runs and its environment holds `variable=value`."""
    try:
        return psutil.Process(pid).environ().get(variable) == value
    except _UNSEEN:
        return False


def marked(variable: str, value: str) -> list[psutil.Process]:
    """The running processes whose environment holds `variable=value`, those we may look at."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(variable) == value and process.is_running():
                found.append(process)
        except _UNSEEN:
            continue
    return found


def end(processes: Sequence[psutil.Process], grace_s: float) -> None:
    """Ask them to end, and kill those that have not after the grace time (seconds). Blocks."""
    for process in processes:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=5.0)


def end_marked(variable: str, value: str, *, grace_s: float = 5.0, within_s: float = 15.0) -> bool:
    """End every process with this mark, also those started meanwhile; True when none is left."""
    deadline = time.monotonic() + within_s
    while processes := marked(variable, value):
        end(processes, grace_s)
        grace_s = 0.0
        if time.monotonic() > deadline:
            return not marked(variable, value)
    return True
