"""A plain directory as the source of a layer: everything in it, or what changed since an index."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from . import native
from .attributes import Attributes, names_of
from .errors import must_be_readable, readable
from .index import UNKNOWN, Index
from .source import DEFAULT_LIMITS, NO_XATTRS, Entry, Kind, LeftOut, Limits, Packed, Room
from .sparse import has_holes, pieces
from .walk import OPEN_DIRECTORY, Exclude, Found, Inode, Listing, Walk, settle

Rewrite = Callable[[Entry, bytes], bytes | None]
"""Gives a file's content as it should be saved, or None to save it as it is."""

REWRITE_LIMIT = 1 << 20
"""Bytes of the largest file that is offered for rewriting: scripts and lists, not data."""

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_CLOEXEC


class _Current(NamedTuple):
    """The file whose entry was given last, while it is open."""

    entry: Entry
    descriptor: int
    holes: bool
    rewritten: bytes | None


class WalkedSource:
    """The source of what a walk finds; used by one thread.

    Nothing is followed: every name is opened in its own directory's descriptor. What changes while
    it is read is saved as it was read, reported as torn, and saved again the next time.
    """

    def __init__(
        self, walk: Walk, attributes: Attributes, *, rewrite: Rewrite | None = None
    ) -> None:
        self._walk = walk
        self._attributes = attributes
        self._rewrite = rewrite
        self._torn: list[bytes] = []
        self._first_names: dict[Inode, bytes] = {}  # of inodes in the image
        self._written: set[Inode] = set()  # inodes of files in this layer
        self._current: _Current | None = None
        self._complete = False

    def entries(self) -> Iterator[Entry]:
        """The entries: per directory first what is gone, then what is new or different, by name."""
        for listing in self._listings():
            yield from self._before(listing)
            for found in listing.changed:
                yield from self._readable(listing, found)
            yield from self._after(listing)

    def packed(self, room: Room) -> Iterator[Entry | Packed]:
        """As `entries()`, with the plain files already in the tar stream, where `native` is there."""
        owner, ids = self._attributes.fixed_owner, self._attributes.ids
        packer = native.packer(room, owner=owner, ids=ids) if self._rewrite is None else None
        if packer is None:
            yield from self.entries()
            return
        for listing in self._listings():
            yield from self._before(listing)
            for plain, files in groupby(listing.changed, key=_is_packable):
                if plain:
                    yield from self._packed(packer, listing, list(files))
                    continue
                for found in files:
                    yield from self._readable(listing, found)
            yield from self._after(listing)

    def _packed(
        self, packer: native.Packer, listing: Listing, files: Sequence[Found]
    ) -> Iterator[Entry | Packed]:
        """Files in a row; those that turn out not to be plain are given as they are everywhere."""
        parent = listing.full(b"")
        names = [name for name, _ in files]
        at, some = 0, native.MOST
        while at < len(files):
            run = packer.pack(listing.descriptor, parent, names[at : at + some])
            some = min(2 * some, native.MOST)
            if run.packed.files:
                for number in run.torn:
                    self._tore(listing, names[at + number])
                yield run.packed
                at += len(run.packed.files)
            if run.asks:
                yield from self._readable(listing, files[at])
                at, some = at + 1, 1  # where one is not plain, others beside it may not be, too

    def _listings(self) -> Iterator[Listing]:
        """The walk's; what may change again without looking different counts as unknown."""
        settled = settle()
        with closing(self._walk.listings()) as listings:
            for listing in listings:
                for name, status in listing.changed:
                    if status.st_ctime_ns >= settled:
                        listing.records[name] = UNKNOWN
                yield listing
        self._complete = True

    def content(self, entry: Entry) -> Iterator[bytes]:
        """Exactly `entry.size` bytes: cut, or filled with zeros, where the file changed meanwhile."""
        current = self._current
        if current is None or current.entry is not entry:
            raise ValueError("only the content of the entry just given can be read")
        if current.rewritten is not None:
            yield current.rewritten
            return
        with readable(entry.path):
            yield from pieces(current.descriptor, entry.size, holes=current.holes)

    def left_out(self) -> tuple[LeftOut, ...]:
        """What was left out so far, by path."""
        return self._walk.left_out.items()

    def torn(self) -> tuple[bytes, ...]:
        """Files that changed while they were read, so far."""
        return tuple(self._torn)

    def index(self, *, image: str = "") -> Index:
        """What the directory looks like as saved in `image`; only after all entries were taken."""
        if not self._complete or not self._walk.whole:
            raise ValueError("the index is complete only after all entries were taken")
        return Index(self._walk.records, image=image)

    def _before(self, listing: Listing) -> Iterator[Entry]:
        for name in listing.removed:
            yield Entry(listing.full(name), Kind.WHITEOUT)

    def _after(self, listing: Listing) -> Iterator[Entry]:
        for name, status in listing.linked:
            yield from self._linked(listing, name, status)

    def _readable(self, listing: Listing, found: Found) -> Iterator[Entry]:
        """The entries of something that is new or different; raises as `must_be_readable` does."""
        with readable(listing.full(found[0])):
            yield from self._changed(listing, *found)

    def _changed(self, listing: Listing, name: bytes, status: os.stat_result) -> Iterator[Entry]:
        if stat.S_ISREG(status.st_mode):
            yield from self._file(listing, name, status)
        elif stat.S_ISDIR(status.st_mode):
            yield from self._directory(listing, name, status)
        else:
            try:
                target = os.readlink(name, dir_fd=listing.descriptor)
            except OSError as error:
                must_be_readable(listing.full(name), error)
                self._lost(listing, name, f"cannot be read ({error.strerror})")
                return
            yield self._entry(listing.full(name), Kind.SYMLINK, status, link=target)

    def _directory(self, listing: Listing, name: bytes, status: os.stat_result) -> Iterator[Entry]:
        path = listing.full(name)
        xattrs = NO_XATTRS  # the walk reports a directory that cannot be entered
        try:
            with opened_directory(name, listing.descriptor) as descriptor:
                xattrs = self._attributes.xattrs(descriptor, names_of(descriptor), path)
        except OSError as error:
            must_be_readable(path, error)
        yield self._entry(path, Kind.DIRECTORY, status, xattrs=xattrs)

    def _file(self, listing: Listing, name: bytes, status: os.stat_result) -> Iterator[Entry]:
        path = listing.full(name)
        inode = self._walk.inode(status)
        if status.st_nlink > 1 and inode in self._first_names:
            yield self._entry(path, Kind.HARDLINK, status, link=self._first_names[inode])
            return
        try:
            found = open_file(name, listing.descriptor)
        except OSError as error:
            must_be_readable(path, error)
            self._lost(listing, name, f"cannot be read ({error.strerror})")
            return
        if found is None:
            self._lost(listing, name, "was replaced while it was read")
            return
        descriptor, status = found
        try:
            yield from self._opened(listing, name, descriptor, status, names_of(descriptor))
        finally:
            self._current = None
            os.close(descriptor)

    def _opened(
        self,
        listing: Listing,
        name: bytes,
        descriptor: int,
        status: os.stat_result,
        names: Sequence[str],
    ) -> Iterator[Entry]:
        """The entry of an open file, with its attributes' names; what was listed does not count."""
        path = listing.full(name)
        xattrs = self._attributes.xattrs(descriptor, names, path)
        entry = self._entry(path, Kind.FILE, status, xattrs=xattrs)
        rewritten: bytes | None = None
        if self._rewrite is not None and status.st_size <= REWRITE_LIMIT:
            found = _read(descriptor, status.st_size)
            rewritten = self._rewrite(entry, found)
            if rewritten is None:
                rewritten = found
            entry = entry._replace(size=len(rewritten))
        self._current = _Current(entry, descriptor, has_holes(status), rewritten)
        yield entry
        if status.st_nlink > 1:
            inode = self._walk.inode(status)
            self._first_names[inode] = path
            self._written.add(inode)
        if _changes_seen(status, os.fstat(descriptor)):
            self._tore(listing, name)

    def _tore(self, listing: Listing, name: bytes) -> None:
        """A file changed while it was read."""
        self._torn.append(listing.full(name))
        listing.records[name] = UNKNOWN

    def _linked(self, listing: Listing, name: bytes, status: os.stat_result) -> Iterator[Entry]:
        """An unchanged file with several names: a link again where another name was just written."""
        inode = self._walk.inode(status)
        if inode in self._written:
            yield self._entry(
                listing.full(name), Kind.HARDLINK, status, link=self._first_names[inode]
            )
        else:
            self._first_names.setdefault(inode, listing.full(name))

    def _entry(
        self,
        path: bytes,
        kind: Kind,
        status: os.stat_result,
        *,
        link: bytes = b"",
        xattrs: Mapping[bytes, bytes] = NO_XATTRS,
    ) -> Entry:
        uid, gid = self._attributes.owner(path, status)
        size = status.st_size if kind is Kind.FILE else 0
        mode = self._attributes.mode(path, status)
        return Entry(path, kind, mode, uid, gid, size, status.st_mtime_ns, link, xattrs)

    def _lost(self, listing: Listing, name: bytes, reason: str) -> None:
        """Leaves out what cannot be read; an image that had it keeps what it had."""
        self._walk.left_out.add(listing.full(name), reason)
        before = self._walk.before(listing.path).get(name)
        if before is None:
            del listing.records[name]
        else:
            listing.records[name] = before


class DirectorySource(WalkedSource):
    """Gives the entries of a directory once; used by one thread."""

    def __init__(
        self,
        root: Path,
        *,
        since: Index | None = None,
        exclude: Exclude | None = None,
        rewrite: Rewrite | None = None,
        owner: tuple[int, int] | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """`owner` is the (uid, gid) that every entry gets; None keeps what the files have."""
        walk = Walk(root, since=since, exclude=exclude, limits=limits)
        super().__init__(walk, Attributes(walk.left_out, owner=owner), rewrite=rewrite)


def open_file(name: bytes, parent: int) -> tuple[int, os.stat_result] | None:
    """A regular file's descriptor, for reading, and its status; None where `name` is something else.

    Looked at before it is opened: to open a device may already do something (a watchdog restarts
    the machine), and whoever owns the directory may put one there at any time.
    """
    handle = os.open(name, _LOOK, dir_fd=parent)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            return None
        return os.open(f"/proc/self/fd/{handle}", _READ), status
    finally:
        os.close(handle)


@contextmanager
def opened_directory(name: bytes, parent: int) -> Iterator[int]:
    """The descriptor of the directory `name`, for reading; never of what a symlink names."""
    descriptor = os.open(name, OPEN_DIRECTORY, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_packable(found: Found) -> bool:
    return native.packable(found[1])


def _read(descriptor: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size and (part := os.read(descriptor, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _changes_seen(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )
