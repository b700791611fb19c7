"""The freezer of a cgroup, version 1 or 2: where it is, what it says, and what thaws it."""

from __future__ import annotations

import errno
import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from atoll.agent.errors import FreezeError
from atoll.agent.runtimes.mounts import PROC
from atoll.agent.runtimes.overlay_mount import unescaped

_STUCK_S: Final = 0.05
"""A v1 freezer that is not there by then has met a process it cannot see: thaw, and once more (runc does)."""
_POLL_S: Final = (0.0005, 0.01)  # first and longest pause between two looks at a v1 freezer


_GONE: Final = (errno.ENOENT, errno.ENODEV)
"""A group that was removed: its files are not there, or no longer what they were when opened."""


@dataclass(frozen=True, slots=True)
class Freezer:
    """The freezer of one cgroup."""

    directory: Path
    version: int

    @property
    def file(self) -> Path:
        """What is written to."""
        return self.directory / ("freezer.state" if self.version == 1 else "cgroup.freeze")

    @property
    def thawed(self) -> str:
        """What thaws when it is written to `file`."""
        return "THAWED" if self.version == 1 else "0"

    def asked(self) -> bool:
        """Whether somebody wants the group itself frozen (a parent's wish does not count)."""
        file = self.directory / "freezer.self_freezing" if self.version == 1 else self.file
        return _read(file).strip() == "1"

    def frozen(self) -> bool:
        """Whether every process in the group stands still; not where the group is gone."""
        if self.version == 1:
            return _read(self.file).strip() == "FROZEN"
        return "frozen 1" in _read(self.directory / "cgroup.events").splitlines()

    def thaw(self) -> None:
        """Lets it run; nothing where the group is gone."""
        try:
            self.file.write_text(self.thawed)
        except OSError as error:
            if error.errno not in _GONE:
                raise

    def freeze(self, within_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Returns when everything stands still; raises `FreezeError`, thawed, after `within_s`."""
        until = clock() + within_s
        freeze = self._freeze_v1 if self.version == 1 else self._freeze_v2
        try:
            done = freeze(until, clock)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            raise FreezeError(
                f"The cgroup {self.directory} is gone.", hint="The container has just ended."
            ) from error
        except BaseException:
            self.thaw()
            raise
        if not done:
            self.thaw()
            raise FreezeError(
                f"The container did not stand still within {within_s:g} s.",
                hint="A process may be waiting for a disk or network that does not answer.",
            )

    def _freeze_v1(self, until: float, clock: Callable[[], float]) -> bool:
        pause, longest = _POLL_S
        again = 0.0
        while True:
            now = clock()
            if now >= again:
                if again:
                    self.file.write_text("THAWED")
                self.file.write_text("FROZEN")
                again = now + _STUCK_S
            if self.frozen():
                return True
            if now > until:
                return False
            time.sleep(pause)  # the kernel tells nobody: looking again is the only way
            pause = min(2 * pause, longest)

    def _freeze_v2(self, until: float, clock: Callable[[], float]) -> bool:
        with (self.directory / "cgroup.events").open("rb", buffering=0) as events:
            poll = select.poll()
            poll.register(events, select.POLLPRI)
            self.file.write_text("1")
            while True:
                events.seek(0)
                if b"frozen 1" in events.read().splitlines():
                    return True
                left = until - clock()
                if left <= 0:
                    return False
                poll.poll(max(1.0, left * 1000))


def freezer_of(cgroup: str, *, pid: int | None = None, proc: Path = PROC) -> Freezer:
    """The freezer of the container whose group is `cgroup`, or that `pid` runs in.

    The process knows best: a group's path in a runtime's records may be relative to the runtime's
    own. Raises `FreezeError` where this machine has no freezer that we may write to.
    """
    mounts = _hierarchies((proc / "self" / "mountinfo").read_bytes())
    own = _groups(pid, proc) if pid is not None else {}
    for version in (1, 2):
        if version not in mounts:
            continue
        top, root = mounts[version]
        path = own.get(version, cgroup)
        if ".." in path.split("/"):
            continue  # outside what this process's cgroup namespace shows
        inside = path.removeprefix(root.rstrip("/")) if path.startswith(root) else path
        directory = top / inside.strip("/")
        if path.strip("/") and (directory / _FILES[version]).exists():
            return Freezer(directory, version)
    raise FreezeError(
        f"The cgroup {cgroup!r} of the container has no freezer here.",
        hint="The agent needs the node's own /sys/fs/cgroup, writable, and the node's processes.",
    )


def _read(file: Path) -> str:
    """The file's text; empty where the group is gone."""
    try:
        return file.read_text()
    except OSError as error:
        if error.errno not in _GONE:
            raise
        return ""


_FILES: Final = {1: "freezer.state", 2: "cgroup.freeze"}


def _hierarchies(mountinfo: bytes) -> dict[int, tuple[Path, str]]:
    """Where v1's freezer and v2 are mounted, and which group their top is."""
    found: dict[int, tuple[Path, str]] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(b" - ")
        fields, system = before.split(b" "), after.split(b" ")
        if len(fields) < 6 or len(system) < 3:
            continue
        place = (Path(unescaped(fields[4]).decode()), unescaped(fields[3]).decode())
        if system[0] == b"cgroup" and b"freezer" in system[2].split(b","):
            found.setdefault(1, place)
        elif system[0] == b"cgroup2":
            found.setdefault(2, place)
    return found


def _groups(pid: int, proc: Path) -> dict[int, str]:
    """The process's groups by version; none where it has just ended."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    found: dict[int, str] = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found[2] = path
        elif "freezer" in controllers.split(","):
            found[1] = path
    return found
