"""Files that a container's processes write to through memory: making the kernel tell when they do.

A page that is dirty already can be written to again without a new change time (seen on ext4), so
that a later look at the file would miss it. Once a file's pages are clean, the next write is noticed.
Only these few files are flushed: `syncfs` would make every neighbour on the disk wait.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from atoll.agent.cgroups import Freezer
from atoll.agent.runtimes.mounts import PROC
from atoll.agent.runtimes.overlay_mount import unescaped
from atoll.oci.directory import open_file

_MAPPING: Final = re.compile(rb"\S+ .w.s \S+ (\S+):(\S+) \d+\s+/(.*)")  # proc(5), /proc/PID/maps
_DELETED: Final = b" (deleted)"
_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def clean_mappings(freezer: Freezer, upper: Path, *, proc: Path = PROC) -> int:
    """Flushes the files of `upper` that processes of the group may write to through memory; how many."""
    return sum(_flushed(upper, path) for path in mapped_files(freezer, proc=proc))


def mapped_files(freezer: Freezer, *, proc: Path = PROC) -> set[bytes]:
    """The files that processes of the group may write to through memory: relative paths inside."""
    return {path for pid in _processes(freezer) for path in _mapped(proc / pid)}


def _processes(freezer: Freezer) -> Iterator[str]:
    for group in (freezer.directory, *freezer.directory.rglob("*/")):
        try:
            yield from (group / "cgroup.procs").read_text().split()
        except OSError:
            continue  # the group is gone, and with it what was in it


def _mapped(process: Path) -> Iterator[bytes]:
    """Paths inside the container of files on its own root that are mapped shared and writable."""
    try:
        root = (process / "root").stat().st_dev
        lines = (process / "maps").read_bytes().splitlines()
    except OSError:
        return  # it has ended; what it wrote last was noticed, or was before it was looked at
    for line in lines:
        found = _MAPPING.fullmatch(line)
        if found is None or found[3].endswith(_DELETED):
            continue
        if os.makedev(int(found[1], 16), int(found[2], 16)) == root:
            yield unescaped(found[3])


def _flushed(upper: Path, path: bytes) -> bool:
    """Whether it is a file of the upper directory; no symlink on the way to it is followed."""
    *parents, name = path.split(b"/")
    try:
        here = os.open(upper, _DIRECTORY)
        try:
            for part in parents:
                inner = os.open(part, _DIRECTORY, dir_fd=here)
                os.close(here)
                here = inner
            found = open_file(name, here)
        finally:
            os.close(here)
        if found is None:
            return False
        try:
            os.fdatasync(found[0])
        finally:
            os.close(found[0])
    except OSError:
        return False  # not in the upper directory: it is mapped, but was never written to
    return True
