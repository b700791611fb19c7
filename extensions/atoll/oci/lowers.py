"""What an overlay shows of its lower directories: the layers below the one that is written to."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from .errors import SourceError
from .source import shown
from .walk import Exclude, is_whiteout

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


class Marks(NamedTuple):
    """The names of the attributes that overlayfs keeps its own facts in."""

    opaque: str
    whiteout: str
    redirect: str
    metacopy: str
    nlink: str


def marks(*, userxattr: bool) -> Marks:
    """Those of a mount with or without the option `userxattr`; the others are then a user's own."""
    prefix = "user.overlay." if userxattr else "trusted.overlay."
    return Marks(*(prefix + name for name in Marks._fields))


class Seen(NamedTuple):
    """Something in a lower directory: where it is on the host, and what it is."""

    host: bytes
    status: os.stat_result


class Lowers:
    """The lower directories of one overlay, the uppermost first.

    They are looked into by their paths, part by part as far as there are directories, so that no
    symlink in them is followed; nobody but root changes them while an overlay is mounted.
    """

    def __init__(self, directories: Sequence[Path], *, userxattr: bool = False) -> None:
        self._marks = marks(userxattr=userxattr)
        self._at: dict[bytes, tuple[bytes, ...]] = {b"": tuple(map(os.fsencode, directories))}

    def directories(self, path: bytes) -> tuple[bytes, ...]:
        """The host's directories that together are the directory `path`; none where it is none.

        Raises `SourceError` where a lower directory was renamed in a way only overlayfs can follow.
        """
        known = self._at.get(path)
        if known is None:
            known = self._at[path] = tuple(self._merged(path))
        return known

    def find(self, path: bytes) -> Seen | None:
        """What is visible at `path`."""
        parent, _, name = path.rpartition(b"/")
        for directory in self.directories(parent):
            host = directory + b"/" + name
            status = _status(host)
            if status is not None:
                return None if self._deleted(directory, host, status) else Seen(host, status)
        return None

    def below(self, path: bytes, exclude: Exclude | None = None) -> Iterator[tuple[bytes, Seen]]:
        """Everything visible below the directory `path`, parents first, by name."""
        names: set[bytes] = set()
        for directory in self.directories(path):
            with os.scandir(directory) as items:
                names.update(item.name for item in items)
        for name in sorted(names):
            inner = path + b"/" + name if path else name
            seen = self.find(inner)
            if seen is None or (exclude is not None and exclude(inner) is not None):
                continue
            yield inner, seen
            if stat.S_ISDIR(seen.status.st_mode):
                yield from self.below(inner, exclude)

    def _merged(self, path: bytes) -> Iterator[bytes]:
        parent, _, name = path.rpartition(b"/")
        for directory in self.directories(parent):
            host = directory + b"/" + name
            status = _status(host)
            if status is None:
                continue
            if not stat.S_ISDIR(status.st_mode):
                return
            yield host
            if attribute(host, self._marks.redirect) is not None:
                raise redirected(path)
            if attribute(host, self._marks.opaque) == b"y":
                return

    def _deleted(self, directory: bytes, host: bytes, status: os.stat_result) -> bool:
        if is_whiteout(status):
            return True
        return (
            stat.S_ISREG(status.st_mode)
            and status.st_size == 0
            and attribute(host, self._marks.whiteout) is not None
            and attribute(directory, self._marks.opaque) == b"x"
        )


def redirected(path: bytes) -> SourceError:
    """The error for a directory that overlayfs finds elsewhere."""
    return SourceError(
        f"The directory {shown(path)} was renamed by overlayfs itself (redirect_dir).",
        hint="Mount the containers' overlays with redirect_dir=off, as containerd and docker do.",
    )


def attribute(path: bytes | int, name: str) -> bytes | None:
    """An extended attribute of an open file, or of a path itself; None where it has none."""
    try:
        if isinstance(path, int):
            return os.getxattr(path, name)
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise
        return None


def _status(host: bytes) -> os.stat_result | None:
    try:
        return os.lstat(host)
    except OSError as error:
        if error.errno not in _GONE:
            raise
        return None
