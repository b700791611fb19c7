"""Where a layer's entries come from: the entry, and the small interface that every source meets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple, Protocol, runtime_checkable

WHITEOUT_PREFIX = b".wh."
"""Names that start so are instructions inside a layer (OCI image specification, layer.md)."""
OPAQUE_NAME = b".wh..wh..opq"
"""The entry that hides everything the layers below have in its directory."""

NO_XATTRS: Mapping[bytes, bytes] = MappingProxyType({})


class Kind(Enum):
    """What an entry of a layer is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"  # another name of the file at `link`
    WHITEOUT = "whiteout"  # `path` is gone
    OPAQUE = "opaque"  # what the layers below have in the directory `path` is gone


class Entry(NamedTuple):
    """One thing in a layer. A tuple, since a layer has tens of thousands of them."""

    path: bytes  # relative, `/` between parts
    kind: Kind
    mode: int = 0  # permission bits with setuid, setgid and sticky
    uid: int = 0
    gid: int = 0
    size: int = 0  # bytes of content; 0 for all but files
    mtime_ns: int = 0
    link: bytes = b""  # a symlink's target as it is; a hard link's path inside the image
    xattrs: Mapping[bytes, bytes] = NO_XATTRS


class LeftOut(NamedTuple):
    """Something that is not in the layer, and why."""

    path: bytes
    reason: str


_REPORTED = 10_000  # a report is for people; a million sockets are one fact


class Report:
    """What was left out: the first ten thousand by name, the rest by number."""

    def __init__(self) -> None:
        self._items: list[LeftOut] = []
        self._more = 0

    def add(self, path: bytes, reason: str) -> None:
        """Notes one path."""
        if len(self._items) < _REPORTED:
            self._items.append(LeftOut(path, reason))
        else:
            self._more += 1

    def items(self) -> tuple[LeftOut, ...]:
        """By path; a last item without a path gives the number of those that are not listed."""
        listed = tuple(sorted(self._items))
        if not self._more:
            return listed
        return (*listed, LeftOut(b"", f"{self._more:,} more are not listed"))


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is too much; crossing any of them is a `LimitError`, where nothing else is said."""

    size: int = 1 << 40  # logical bytes; 1 TiB is more than a node's disk gives to one user
    entries: int = 10_000_000
    names: int = 250_000  # in one directory, which is listed as a whole: about 1 KB of memory each
    depth: int = 256  # parts of a path: one open descriptor each, and processes have 1024
    attributes: int = 256 << 20  # bytes of extended attributes in one layer, names and values
    seconds: float = 86400.0  # for one layer, its way into the store included: then `TooSlowError`


DEFAULT_LIMITS = Limits()


class Source(Protocol):
    """Gives a layer's entries once, in an order that depends on nothing but the content."""

    def entries(self) -> Iterator[Entry]:
        """All entries; a file's hard links come after it, a directory before what is in it."""

    def content(self, entry: Entry) -> Iterator[bytes]:
        """Exactly `entry.size` bytes of the file `entry`, which must be the last one given."""

    def left_out(self) -> tuple[LeftOut, ...]:
        """What was left out so far."""

    def torn(self) -> tuple[bytes, ...]:
        """Paths of files that changed while they were read, so far."""


class PackedFile(NamedTuple):
    """A file in a part of a tar stream."""

    path: bytes
    start: int  # of its content in the data
    size: int  # bytes of its content


class Packed(NamedTuple):
    """Plain files as they are in a layer's tar stream: a header, the content and its padding each."""

    data: memoryview  # in the room that was given for it; valid until the next step
    files: Sequence[PackedFile]


GiveWay = Callable[[], object]
"""Called by each thread after half a millisecond of work or so, for the sake of others."""


def nobody_waits() -> None:
    """To give way to nobody."""


Room = Callable[[int], memoryview]
"""Gives a writable view of at least so many bytes, which come next in a layer's tar stream."""


@runtime_checkable
class PackingSource(Source, Protocol):
    """A source that can put plain files into the tar stream itself."""

    def packed(self, room: Room) -> Iterator[Entry | Packed]:
        """As `entries()`, but for plain files that were put into the room given last."""


def steps(source: Source, room: Room) -> Iterator[Entry | Packed]:
    """What `source` gives, packed where it can do that."""
    return source.packed(room) if isinstance(source, PackingSource) else source.entries()


def shown(path: bytes) -> str:
    """A path for people and JSON: bytes that are not UTF-8, and control characters, as escapes."""
    text = path.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
