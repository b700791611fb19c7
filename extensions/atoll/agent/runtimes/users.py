"""Which process has a container's layer as its root: asked of the kernel, not of a runtime."""

from __future__ import annotations

from pathlib import Path

from atoll.agent.errors import NoContainerError, SnapshotterError
from atoll.agent.runtimes.mounts import PROC, mounts_of, root_overlay


def process_on(upper: Path, *, proc: Path = PROC) -> int | None:
    """The oldest process whose root is the overlay over `upper`; None where there is none.

    Each mount namespace is looked at once: a container has one, and a node has far fewer of them
    than processes, each with hundreds of mounts.
    """
    seen: set[int] = set()
    for pid in sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal()):
        try:
            namespace = (proc / str(pid) / "ns" / "mnt").stat().st_ino
            if namespace not in seen and _root(pid, proc) == upper:
                return pid
        except (OSError, NoContainerError):
            continue  # it has ended meanwhile
        seen.add(namespace)
    return None


def _root(pid: int, proc: Path) -> Path | None:
    try:
        return root_overlay(mounts_of(pid, proc=proc)).upper
    except SnapshotterError:
        return None
