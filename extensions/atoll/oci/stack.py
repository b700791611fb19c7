"""What the layers of a user show together, the writable one on top, otherwise than the base below them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from .directory import open_file
from .errors import LimitError, readable
from .lowers import Lowers, attribute, marks
from .source import DEFAULT_LIMITS, WHITEOUT_PREFIX, Kind, Limits
from .walk import OPEN_DIRECTORY, Exclude

_SEEN = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)


class Difference(NamedTuple):
    """One path that the layers show otherwise than the base; directories themselves are none."""

    path: bytes
    kind: Kind  # for what is gone: what it was
    size: int  # bytes of what is there now; 0 where it is gone
    before: bool  # whether the base has it
    now: bool
    changed_ns: int = 0  # when what is there now was last touched; no process can set that


@dataclass(slots=True)
class Folder:
    """A directory as the layers have it together; valid while it is at hand."""

    path: bytes
    base: bool  # the base has a directory here, and what is not replaced of it can be seen
    hidden: bool  # the base has a directory here of which nothing can be seen
    names: dict[bytes, os.stat_result] = field(default_factory=dict)  # what is there, deletions too
    _places: dict[bytes, int] = field(default_factory=dict)
    _layers: list[int | bytes] = field(default_factory=list)  # the upper one's descriptor, or paths

    def read(self, name: bytes, most: int) -> bytes | None:
        """Up to `most` bytes of a regular file in it; None where there is none."""
        place = self._places.get(name)
        return None if place is None else _content(self._layers[place], name, most)


@dataclass(slots=True)
class Totals:
    """Logical bytes of the files in all the layers, and of those that can still be seen."""

    size: int = 0
    seen: int = 0


class Stack:
    """Compares the layers of a user with the base, one directory at a time: memory does not grow.

    The upper directory is walked by descriptors, since its owner may change it meanwhile; what
    vanishes under our eyes is as if it had never been there. The layers below are unpacked ones,
    which nobody but root changes. Used once.
    """

    def __init__(
        self,
        upper: Path,
        own: Sequence[Path],
        base: Sequence[Path],
        *,
        exclude: Exclude | None = None,
        limits: Limits = DEFAULT_LIMITS,
        visit: Callable[[Folder], object] | None = None,
    ) -> None:
        """`own` and `base` from the uppermost down. `visit` is called for each directory."""
        self.base = Lowers(base)
        self.totals = Totals()
        self._upper = upper
        self._own = [os.fsencode(path) for path in own]
        self._exclude = exclude
        self._limits = limits
        self._visit = visit
        self._opaque = marks(userxattr=False).opaque
        self._count = 0
        self._linked: set[tuple[int, int]] = set()  # files with several names, counted once

    def differences(self) -> Iterator[Difference]:
        """All of them, by directory; raises `LimitError`, `UnreadableError`."""
        descriptor = os.open(self._upper, OPEN_DIRECTORY)
        try:
            folder = Folder(b"", base=True, hidden=False)
            folder._layers = [descriptor, *self._own]
            yield from self._folder(folder, 1)
        finally:
            os.close(descriptor)

    def _folder(self, folder: Folder, depth: int) -> Iterator[Difference]:
        directories, closed = self._list(folder)
        if self._visit is not None:
            self._visit(folder)
        prefix = folder.path + b"/" if folder.path else b""
        for name in sorted(folder.names):
            path, status = prefix + name, folder.names[name]
            if stat.S_ISDIR(status.st_mode):
                hidden = folder.hidden or name in closed
                yield from self._directory(folder, path, directories[name], depth, hidden=hidden)
            else:
                yield from self._other(folder, path, status)
        if folder.hidden:
            yield from self._emptied(folder)

    def _list(self, folder: Folder) -> tuple[dict[bytes, list[int]], set[bytes]]:
        """Takes in the names: for directories the layers that have them together, and what is closed.

        What is closed hides all that is below it: a layer has a deletion there, or another kind. A
        directory made where a lower layer has a deletion need not be marked as opaque.
        """
        directories: dict[bytes, list[int]] = {}
        closed: set[bytes] = set()
        prefix = folder.path + b"/" if folder.path else b""
        for number, layer in enumerate(folder._layers):
            for name, status in _items(layer, folder.path):
                kind = stat.S_IFMT(status.st_mode)
                if self._exclude is not None and self._exclude(prefix + name) is not None:
                    continue
                self._weigh(status, seen=name not in folder.names)
                if len(folder.names) > self._limits.names:
                    raise LimitError(f"A directory has more than {self._limits.names:,} entries.")
                if name not in folder.names:
                    folder.names[name] = status
                    folder._places[name] = number
                    if kind == stat.S_IFDIR:
                        directories[name] = [number]
                    else:
                        closed.add(name)
                elif kind != stat.S_IFDIR:
                    closed.add(name)
                elif name not in closed:
                    directories[name].append(number)
        return directories, closed

    def _weigh(self, status: os.stat_result, *, seen: bool) -> None:
        self._count += 1
        if self._count > self._limits.entries:
            raise LimitError(f"There are more than {self._limits.entries:,} entries.")
        if not stat.S_ISREG(status.st_mode):
            return
        if status.st_nlink > 1:
            node = (status.st_dev, status.st_ino)
            if node in self._linked:
                return
            self._linked.add(node)
        self.totals.size += status.st_size
        if seen:
            self.totals.seen += status.st_size

    def _directory(
        self, folder: Folder, path: bytes, layers: list[int], depth: int, *, hidden: bool
    ) -> Iterator[Difference]:
        if depth >= self._limits.depth:
            return
        before = self.base.find(path) if folder.base or folder.hidden else None
        if before is not None and not stat.S_ISDIR(before.status.st_mode):
            yield _gone(path, before.status)
            before = None
        opened: list[int | bytes] = []
        name = path.rpartition(b"/")[2]
        try:
            for number in layers:
                layer = folder._layers[number]
                place = _entered(layer, name)
                if place is None:
                    continue
                opened.append(place)
                if attribute(place, self._opaque) == b"y":
                    hidden = True
                    break
            inner = Folder(path, base=before is not None and not hidden, hidden=False)
            inner.hidden = before is not None and hidden
            inner._layers = opened
            yield from self._folder(inner, depth + 1)
        finally:
            for place in opened:
                if isinstance(place, int):
                    os.close(place)

    def _other(self, folder: Folder, path: bytes, status: os.stat_result) -> Iterator[Difference]:
        before = self.base.find(path) if folder.base or folder.hidden else None
        if before is not None and stat.S_ISDIR(before.status.st_mode):
            yield from self._below(path)
            before = None
        if stat.S_IFMT(status.st_mode) in _SEEN:
            file = stat.S_ISREG(status.st_mode)
            size = status.st_size if file else 0
            kind = Kind.FILE if file else Kind.SYMLINK
            touched = status.st_ctime_ns
            yield Difference(path, kind, size, before is not None, now=True, changed_ns=touched)
        elif before is not None:  # a deletion, or a pipe in its place
            yield _gone(path, before.status)

    def _emptied(self, folder: Folder) -> Iterator[Difference]:
        """What the base has in a directory that was made anew, and is not there again."""
        prefix = folder.path + b"/"
        for name in names(self.base, folder.path):
            seen = self.base.find(prefix + name) if name not in folder.names else None
            if seen is None or (self._exclude is not None and self._exclude(prefix + name)):
                continue
            if stat.S_ISDIR(seen.status.st_mode):
                yield from self._below(prefix + name)
            else:
                yield _gone(prefix + name, seen.status)

    def _below(self, path: bytes) -> Iterator[Difference]:
        for inner, seen in self.base.below(path, self._exclude):
            if not stat.S_ISDIR(seen.status.st_mode):
                yield _gone(inner, seen.status)


def names(lowers: Lowers, path: bytes) -> list[bytes]:
    """All names that any of the lower directories has at `path`, also those that are hidden."""
    found: set[bytes] = set()
    for directory in lowers.directories(path):
        with os.scandir(directory) as items:
            found.update(item.name for item in items)
    return sorted(found)


def read_lower(lowers: Lowers, path: bytes, most: int) -> bytes | None:
    """Up to `most` bytes of a regular file that the lower directories show; None where there is none."""
    seen = lowers.find(path)
    if seen is None or not stat.S_ISREG(seen.status.st_mode):
        return None
    parent, _, name = seen.host.rpartition(b"/")
    return _content(parent, name, most)


def _items(layer: int | bytes, path: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    try:
        with readable(path), os.scandir(layer) as items:
            for item in items:
                name = os.fsencode(item.name)
                if name.startswith(WHITEOUT_PREFIX):
                    continue
                with suppress(FileNotFoundError):
                    status = item.stat(follow_symlinks=False)
                    yield name, status
    except FileNotFoundError:
        return  # removed while we look


def _entered(layer: int | bytes, name: bytes) -> int | bytes | None:
    """A directory in a layer: its path, or its descriptor; None where it is none any more."""
    if isinstance(layer, bytes):
        return layer + b"/" + name
    try:
        return os.open(name, OPEN_DIRECTORY, dir_fd=layer)
    except OSError:
        return None


def _content(layer: int | bytes, name: bytes, most: int) -> bytes | None:
    try:
        parent = layer if isinstance(layer, int) else os.open(layer, OPEN_DIRECTORY)
        try:
            found = open_file(name, parent)
        finally:
            if parent is not layer:
                os.close(parent)
    except OSError:
        return None
    if found is None:
        return None
    with os.fdopen(found[0], "rb") as file:
        return file.read(most)


def _gone(path: bytes, status: os.stat_result) -> Difference:
    file = stat.S_ISREG(status.st_mode)
    return Difference(path, Kind.FILE if file else Kind.SYMLINK, 0, before=True, now=False)
