"""What a living process has mounted: its root's overlay directories and everything mounted over it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from atoll.agent.errors import NoContainerError, SnapshotterError
from atoll.agent.runtimes.container import IdRange
from atoll.agent.runtimes.overlay_mount import OverlayMount, parse_options, unescaped

PROC = Path("/proc")
_ENDED = (errno.ENOENT, errno.ESRCH, errno.EINVAL)
"""What /proc says of a process that is gone, is going, or has let go of its mounts."""


class Mount(NamedTuple):
    """One line of mountinfo; paths are those of the process's own mount namespace."""

    point: bytes
    kind: str
    options: tuple[bytes, ...]  # of the file system, apart and without octal escapes


def parse_mountinfo(content: bytes) -> Iterator[Mount]:
    """The mounts in the order they were made; lines that are none are passed over (proc(5))."""
    for line in content.splitlines():
        before, separator, after = line.partition(b" - ")
        fields, system = before.split(b" "), after.split(b" ")
        if not separator or len(fields) < 6 or len(system) < 3:
            continue
        options = tuple(unescaped(option) for option in system[2].split(b","))
        yield Mount(unescaped(fields[4]), system[0].decode("ascii", "replace"), options)


def mounts_of(pid: int, *, proc: Path = PROC) -> list[Mount]:
    """What the process has mounted; raises `NoContainerError` where it is gone."""
    return list(parse_mountinfo(_of(pid, "mountinfo", proc)))


def root_overlay(mounts: list[Mount]) -> OverlayMount:
    """The overlay that is the root; raises `SnapshotterError` where the root is something else."""
    roots = [mount for mount in mounts if mount.point == b"/"]
    if not roots or roots[-1].kind != "overlay":
        kind = roots[-1].kind if roots else "unknown"
        raise SnapshotterError(
            f"The container's root is of the kind {kind}, which has no layer of changes.",
            hint="Use a runtime with the overlay snapshotter (or storage driver).",
        )
    found = parse_options(roots[-1].options)
    if found is None:
        raise SnapshotterError(
            "The container's root is read-only: there is no layer of changes.",
            hint="What it changed lies in its volumes.",
        )
    return _based(found)


def _based(found: OverlayMount) -> OverlayMount:
    """Relative layers, as runtimes with many of them mount: below one of the upper's parents."""
    if all(lower.is_absolute() for lower in found.lowers):
        return found
    for base in found.upper.parents:
        lowers = tuple(base / lower for lower in found.lowers)
        if all(lower.is_dir() for lower in lowers):
            return OverlayMount(found.upper, lowers)
    raise SnapshotterError(
        "The directories of the container's layers cannot be found from its mount.",
        hint="Name the runtime, so that its own records are used.",
    )


def targets(mounts: list[Mount]) -> tuple[bytes, ...]:
    """Where something is mounted below the root, relative."""
    return tuple(sorted({mount.point.strip(b"/") for mount in mounts} - {b""}))


def living_targets(pid: int | None) -> tuple[bytes, ...]:
    """As `targets`, of a process; nothing where there is none, or where it has just ended."""
    try:
        return () if pid is None else targets(mounts_of(pid))
    except NoContainerError:
        return ()


def id_map(pid: int, which: str, *, proc: Path = PROC) -> tuple[IdRange, ...]:
    """The process's `uid_map` or `gid_map`; empty where ids are the node's own."""
    lines = _of(pid, which, proc).splitlines()
    ranges = tuple(IdRange(*map(int, line.split())) for line in lines)
    return () if all(found.inside == found.outside for found in ranges) else ranges


def _of(pid: int, name: str, proc: Path) -> bytes:
    try:
        return (proc / str(pid) / name).read_bytes()
    except OSError as error:
        if error.errno not in _ENDED:
            raise
        raise NoContainerError(f"There is no process {pid}.", hint="It has ended.") from error
