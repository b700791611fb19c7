"""Processes in cgroups of their own, with the share of the processor that the kubelet gives to pods.

Between pods the kernel shares a busy processor by what they ask for; priorities count inside each.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_ONE: Final = Path("/sys/fs/cgroup/cpu")
_TWO: Final = Path("/sys/fs/cgroup")
_ENTER: Final = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
_EMPTY_S: Final = 10.0


def shares(milli_cpu: int) -> int:
    """cpu.shares for a request, as the kubelet computes them (pkg/kubelet/cm/helpers_linux.go)."""
    return max(2, milli_cpu * 1024 // 1000)


def weight(milli_cpu: int) -> int:
    """The same for cgroup v2 (KEP 2254)."""
    return 1 + (shares(milli_cpu) - 2) * 9999 // 262142


class Pods:
    """Makes them, side by side."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def inside(self, name: str, milli_cpu: int) -> list[str]:
        """What a command begins with to run in a pod of this name, which asks for so much."""
        place = self._root / name
        place.mkdir()
        if (place / "cpu.shares").exists():
            (place / "cpu.shares").write_text(str(shares(milli_cpu)))
        else:
            (place / "cpu.weight").write_text(str(weight(milli_cpu)))
        return ["/bin/sh", "-c", _ENTER, str(place)]


@contextmanager
def pods() -> Iterator[Pods]:
    """A place for them; at the end all that ran in them must have ended. Needs root."""
    root = (_ONE if _ONE.is_dir() else _TWO) / f"atoll-benchmark-{os.getpid()}"
    root.mkdir()
    if not (root / "cpu.shares").exists():
        (root / "cgroup.subtree_control").write_text("+cpu")
    try:
        yield Pods(root)
    finally:
        for place in (*root.glob("*/"), root):
            _remove(place)


def _remove(place: Path) -> None:
    end = time.monotonic() + _EMPTY_S
    while True:  # a process that ended is in it for a moment
        try:
            place.rmdir()
        except OSError:
            assert time.monotonic() < end, f"something runs in {place}"
            time.sleep(0.01)
        else:
            return
