"""Walking a directory by descriptors: what is in it, and what differs from an index."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from .errors import LimitError, SourceError, must_be_readable, readable
from .index import UNKNOWN, Index, Record, Records, record, same_but_linked
from .source import DEFAULT_LIMITS, WHITEOUT_PREFIX, Limits, Report, shown
from .watch import Watch

Exclude = Callable[[bytes], str | None]
"""The reason for leaving a path (and all below it) out, or None."""

_ENCODING = sys.getfilesystemencoding()
OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS_LEFT_OUT = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_NOTHING: Mapping[bytes, Record] = MappingProxyType({})
TIMESTAMP_STEP = 0.012
"""Seconds: Linux stamps files with the time of its last tick, which is at most 10 ms old."""


Found = tuple[bytes, os.stat_result]
"""A name in a directory, and what is there."""


Inode = int | tuple[int, int]
"""Which file it is: a number alone on the file system of the walk, since there may be a million."""


@dataclass(slots=True)
class Listing:
    """One directory: everything in it, and what of it differs from the index."""

    path: bytes  # empty for the root
    descriptor: int  # open until the walk goes on
    records: dict[bytes, Record] = field(default_factory=dict)
    changed: list[Found] = field(default_factory=list)  # or added
    linked: list[Found] = field(default_factory=list)  # same, other names
    removed: list[bytes] = field(default_factory=list)
    directories: list[tuple[bytes, int]] = field(default_factory=list)  # with their inodes
    refused: list[bytes] = field(default_factory=list)  # pipes, sockets and devices

    def full(self, name: bytes) -> bytes:
        """The path of `name` in this directory."""
        return self.path + b"/" + name if self.path else name


class Walk:
    """One walk over a directory, parents first, in the order of names.

    Iterate `listings()` to the end; then `records` and `left_out` are complete. A directory that
    could not be entered keeps the records of the index that it is compared with, since what an
    image has of it stays as it was.
    """

    def __init__(
        self,
        root: Path,
        *,
        since: Index | None = None,
        exclude: Exclude | None = None,
        limits: Limits = DEFAULT_LIMITS,
        whiteouts: bool = False,
        watch: Watch | None = None,
        keep: bool = True,
    ) -> None:
        """`watch` is given every directory before it is listed; without `keep` no records are kept.

        With `whiteouts`, an overlay's deletions (0:0 character devices) are entries like others.
        """
        self.records: dict[bytes, Mapping[bytes, Record]] = {}
        self.left_out = Report()
        self._seen = 0
        self._root = root
        self._since = since or Index({})
        self._exclude = exclude
        self._limits = limits
        self._whiteouts = whiteouts
        self._watch = watch
        self._keep = keep
        self.whole = keep  # whether the records are an index of everything
        self._device = 0
        self._renewed: set[bytes] = set()

    def listings(self) -> Generator[Listing]:
        """The directories one by one; raises `SourceError` where the root is none, `LimitError`."""
        try:
            root = os.open(self._root, OPEN_DIRECTORY)
        except OSError as error:
            raise SourceError(
                f"The directory {self._root.name} cannot be read ({error.strerror}).",
                hint="It must exist and be a directory, not a symlink.",
            ) from error
        try:
            self._device = os.fstat(root).st_dev
            yield from self._walk(root, b"", 1)
        finally:
            os.close(root)

    def renew(self, path: bytes) -> None:
        """A directory that will be entered, and all below it, is compared with nothing."""
        self._renewed.add(path)

    def before(self, path: bytes) -> Mapping[bytes, Record]:
        """What the index that counts has of a directory."""
        return _NOTHING if path in self._renewed else self._since.children(path)

    def _walk(self, descriptor: int, path: bytes, depth: int) -> Iterator[Listing]:
        if self._watch is not None:
            self._watch.add(path, descriptor)
        listing = self._list(descriptor, path)
        if self._keep:
            self.records[path] = listing.records
        before = self.before(path)
        yield listing
        if self._keep:
            self.records[path] = self._packed(path, before, listing.records)
        for name, inode in listing.directories:
            full = listing.full(name)
            if path in self._renewed:
                self._renewed.add(full)
            if not self._wanted(full, before.get(name) != listing.records.get(name)):
                continue
            child = self._enter(descriptor, name, inode, full, depth)
            if child is None:
                if full not in self._renewed:
                    self.records.update(self._since.below(full))
                continue
            try:
                yield from self._walk(child, full, depth + 1)
            finally:
                os.close(child)

    def _packed(
        self, path: bytes, before: Mapping[bytes, Record], now: Mapping[bytes, Record]
    ) -> Mapping[bytes, Record]:
        """The records of a directory; those of the index itself where it is as it was."""
        known = self._since.directories.get(path)
        return known if isinstance(known, Records) and before == now else Records(now)

    def inode(self, status: os.stat_result) -> Inode:
        """Which file this is the status of."""
        if status.st_dev == self._device:
            return status.st_ino
        return status.st_dev, status.st_ino

    def _wanted(self, _path: bytes, _changed: bool) -> bool:
        return True

    def _list(self, descriptor: int, path: bytes) -> Listing:
        listing = Listing(path, descriptor)
        old = self.before(path)
        prefix = path + b"/" if path else b""
        exclude = self._exclude
        room = self._limits.entries - self._seen
        hidden: set[bytes] = set()
        records, changed = listing.records, listing.changed
        with _entries(descriptor, path) as items:
            for item in items:
                name = item.name.encode(_ENCODING, "surrogateescape")
                if exclude is not None and (reason := exclude(prefix + name)) is not None:
                    hidden.add(name)
                    self.left_out.add(prefix + name, reason)
                    continue
                try:
                    status = item.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # removed since it was listed: as if it had never been there
                except OSError as error:
                    self._keep_old(listing, name, error)
                    continue
                kind = stat.S_IFMT(status.st_mode)
                if name.startswith(WHITEOUT_PREFIX) or (
                    kind in _KINDS_LEFT_OUT and not (self._whiteouts and is_whiteout(status))
                ):
                    self.left_out.add(prefix + name, _refusal(kind))
                    if kind in _KINDS_LEFT_OUT:
                        listing.refused.append(name)
                    continue
                packed = record(status)
                records[name] = packed
                if kind == stat.S_IFDIR:
                    listing.directories.append((name, status.st_ino))
                before = old.get(name)
                if before != packed and not (
                    before is not None
                    and same_but_linked(before, packed)
                    and self._links_alone(kind, descriptor, name)
                ):
                    changed.append((name, status))
                elif status.st_nlink > 1 and kind == stat.S_IFREG:
                    listing.linked.append((name, status))
                if len(records) > room:
                    raise LimitError(f"There are more than {self._limits.entries:,} entries.")
                if len(records) > self._limits.names:
                    raise LimitError(
                        f"The directory /{shown(path)} has more than {self._limits.names:,} entries.",
                        hint="Delete them, or spread them over several directories.",
                    )
        self._seen += len(records)
        listing.removed = [
            name
            for name in sorted(old.keys() - records.keys() - hidden)
            if exclude is None or exclude(prefix + name) is None
        ]
        changed.sort(key=_by_name)
        listing.refused.sort()
        listing.directories.sort()
        return listing

    def _links_alone(self, kind: int, descriptor: int, name: bytes) -> bool:
        """Whether another number of links is no reason to save something again.

        An overlay's deletions share one device, so each new one touches all others; its files are
        its container's own. In plain directories, files with attributes are saved once more, since
        these may have been set at the same time.
        """
        if self._whiteouts:
            return kind == stat.S_IFCHR
        return kind == stat.S_IFREG and not _has_attributes(descriptor, name)

    def _enter(self, parent: int, name: bytes, inode: int, path: bytes, depth: int) -> int | None:
        if depth >= self._limits.depth:
            self.left_out.add(path, f"nested deeper than {self._limits.depth} directories")
            return None
        try:
            child = os.open(name, OPEN_DIRECTORY, dir_fd=parent)
        except OSError as error:
            must_be_readable(path, error)
            self.left_out.add(path, f"the directory cannot be read ({error.strerror})")
            return None
        status = os.fstat(child)
        if status.st_dev == self._device and status.st_ino == inode:
            return child
        os.close(child)
        if status.st_dev != self._device:
            self.left_out.add(path, "another file system is mounted here")
        else:
            self.left_out.add(path, "the directory was replaced while it was read")
        return None

    def _keep_old(self, listing: Listing, name: bytes, error: OSError) -> None:
        """Leaves out what cannot be looked at; an image that has it keeps what it has."""
        path = listing.full(name)
        must_be_readable(path, error)
        self.left_out.add(path, f"cannot be read ({error.strerror})")
        before = self.before(listing.path).get(name)
        if before is not None:
            listing.records[name] = before
            self.records.update(self._since.below(path))


@contextmanager
def _entries(descriptor: int, path: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
    """What is in the directory; raises `SourceError` where the machine cannot read it now."""
    with readable(path), os.scandir(descriptor) as items:
        yield items


def is_whiteout(status: os.stat_result) -> bool:
    """Whether it is the device that overlayfs puts where something of the lower directories is gone."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _has_attributes(directory: int, name: bytes) -> bool:
    try:
        names = os.listxattr(b"/proc/self/fd/%d/%b" % (directory, name), follow_symlinks=False)
    except OSError:
        return False  # gone by now, or nothing here has attributes
    return any(name.startswith("user.") for name in names)


def _by_name(item: Found) -> bytes:
    return item[0]


def _refusal(kind: int) -> str:
    if kind in _KINDS_LEFT_OUT:
        return f"{_KINDS_LEFT_OUT[kind]} is not saved"
    return "a name that begins with .wh. means a deletion inside an image"


def settle() -> int:
    """Waits until files changed before now look older than files changed after; that time in ns.

    A file whose change time is not before it may change again without looking different.
    """
    began = time.time_ns()
    time.sleep(TIMESTAMP_STEP)
    return began


def index_of(
    root: Path,
    *,
    exclude: Exclude | None = None,
    limits: Limits = DEFAULT_LIMITS,
    image: str = "",
) -> Index:
    """What the directory looks like now, as the index of `image`."""
    settled = settle()
    walk = Walk(root, exclude=exclude, limits=limits)
    with closing(walk.listings()) as listings:
        for listing in listings:
            for name, status in listing.changed:
                if status.st_ctime_ns >= settled:
                    listing.records[name] = UNKNOWN
    return Index(walk.records, image=image)
