"""What a directory looked like when it was last saved or restored, so that only changes are saved."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from pathlib import Path
from types import MappingProxyType

import zstandard

from .errors import IndexFileError, room_needed

Record = bytes
"""The packed facts of one entry; two equal ones mean that nothing about the entry has changed."""
_RECORD = struct.Struct("<IIIQQQIQ")
_CONTENT = struct.calcsize("<IIIQQQ")  # all but the number of links and the change time
_LINKS = slice(_CONTENT, _CONTENT + 4)
_INODE = slice(20, 28)
RECORD_SIZE = _RECORD.size
_MASK = (1 << 64) - 1  # ext4 has times up to the year 2446, beyond 63 bits of nanoseconds
UNKNOWN: Record = bytes(RECORD_SIZE)
"""Equal to no entry's record: what carries it is saved again next time."""

_MAGIC = b"atollix2"
_LENGTHS = struct.Struct("<III")
_MAX_SIZE = 4 << 30  # bytes unpacked; ten million entries need about 1 GiB
_NOTHING: Mapping[bytes, Record] = MappingProxyType({})


def record(status: os.stat_result) -> Record:
    """The record of an entry.

    The change time and inode tell a new symlink target or extended attribute as well: neither can
    be set without them.
    """
    return _RECORD.pack(
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns & _MASK,
        status.st_ino,
        status.st_size,
        status.st_nlink,
        status.st_ctime_ns & _MASK,
    )


def same_but_linked(old: Record, new: Record) -> bool:
    """Whether all that happened to a file is another number of links.

    That changes the change time too. uv links packages from its cache, so an installation in one
    environment, or cleaning the cache, touches the same files in every other.
    """
    return old[:_CONTENT] == new[:_CONTENT] and old[_LINKS] != new[_LINKS]


def mode_of(found: Record) -> int:
    """The full mode (type and permissions) in a record."""
    return int(_RECORD.unpack(found)[0])


def inode_of(found: Record) -> int:
    """The inode's number in a record."""
    return int.from_bytes(found[_INODE], "little")


def size_of(found: Record) -> int:
    """The size in bytes in a record."""
    return int(_RECORD.unpack(found)[5])


class Records(Mapping[bytes, Record]):
    """The records of one directory, packed: a third of a dictionary's memory. Open it to look up many."""

    __slots__ = ("_names", "_records")

    def __init__(self, entries: Mapping[bytes, Record]) -> None:
        self._names = b"\0".join(entries)  # no name has one
        self._records = b"".join(entries.values())

    def opened(self) -> dict[bytes, Record]:
        """As a dictionary."""
        names = self._names.split(b"\0") if self._records else []
        return dict(zip(names, self.values(), strict=True))

    def __getitem__(self, name: bytes) -> Record:
        return self.opened()[name]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._names.split(b"\0") if self._records else ())

    def __len__(self) -> int:
        return len(self._records) // RECORD_SIZE

    def values(self) -> ValuesView[Record]:
        """All records, in the order of their names in this mapping."""
        every = range(0, len(self._records), RECORD_SIZE)
        return {at: self._records[at : at + RECORD_SIZE] for at in every}.values()

    def items(self) -> ItemsView[bytes, Record]:
        """Names and records."""
        return self.opened().items()


class Index:
    """Per directory, the record of every entry in it; `image` is the digest it corresponds to."""

    def __init__(
        self, directories: Mapping[bytes, Mapping[bytes, Record]], *, image: str = ""
    ) -> None:
        self.directories = directories
        self.image = image

    def __len__(self) -> int:
        return sum(len(entries) for entries in self.directories.values())

    def children(self, directory: bytes) -> Mapping[bytes, Record]:
        """Name → record for a directory (the root is empty); nothing for one that was not there."""
        found = self.directories.get(directory, _NOTHING)
        return found.opened() if isinstance(found, Records) else found

    def below(self, directory: bytes) -> dict[bytes, Mapping[bytes, Record]]:
        """The part of the index for `directory` and every directory below it."""
        inside = directory + b"/"
        return {
            path: entries
            for path, entries in self.directories.items()
            if path == directory or path.startswith(inside)
        }

    def save(self, path: Path) -> None:
        """Writes the index in place of what is at `path`, atomically; raises `StoreFullError`."""
        packed = _pack(self)
        content = _MAGIC + hashlib.sha256(packed).digest() + packed
        temporary = path.with_name(f".{path.name}.new")  # what a killed save left is overwritten
        with room_needed(f"the index {path.name}"):
            try:
                with temporary.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise

    @classmethod
    def load(cls, path: Path) -> Index:
        """Reads an index; raises `IndexFileError` where it is missing, damaged or of another version."""
        hint = "Save everything anew (since=None), over the base image."
        try:
            content = path.read_bytes()
        except OSError as error:
            raise IndexFileError(
                f"The index {path.name} cannot be read ({error.strerror}).", hint=hint
            ) from error
        start = len(_MAGIC) + hashlib.sha256().digest_size
        packed = content[start:]
        if content[: len(_MAGIC)] != _MAGIC:
            raise IndexFileError(f"The file {path.name} is no index of this version.", hint=hint)
        if hashlib.sha256(packed).digest() != content[len(_MAGIC) : start]:
            raise IndexFileError(f"The index {path.name} is damaged.", hint=hint)
        try:
            return _unpack(packed)
        except (ValueError, struct.error, zstandard.ZstdError) as error:
            raise IndexFileError(f"The index {path.name} is malformed.", hint=hint) from error


def _pack(index: Index) -> bytes:
    """Directories one after the other: path, names joined by NUL (no name has one), records."""
    image = index.image.encode()
    parts = [_LENGTHS.pack(len(image), len(index.directories), 0), image]
    for path, entries in index.directories.items():
        names = b"\0".join(entries)
        parts += (_LENGTHS.pack(len(path), len(names), len(entries)), path, names)
        parts += entries.values()
    return zstandard.ZstdCompressor(level=1).compress(b"".join(parts))


def _unpack(packed: bytes) -> Index:
    if zstandard.frame_content_size(packed) > _MAX_SIZE:
        raise ValueError("too large")
    data = zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MAX_SIZE)
    image_size, count, _ = _LENGTHS.unpack_from(data)
    at = _LENGTHS.size + image_size
    image = data[_LENGTHS.size : at].decode()
    directories: dict[bytes, Mapping[bytes, Record]] = {}
    for _ in range(count):
        path_size, names_size, entries = _LENGTHS.unpack_from(data, at)
        at += _LENGTHS.size
        path = data[at : at + path_size]
        at += path_size
        names = data[at : at + names_size].split(b"\0") if entries else []
        at += names_size
        end = at + entries * RECORD_SIZE
        if len(names) != entries or end > len(data):
            raise ValueError("names and records differ")
        records = (data[i : i + RECORD_SIZE] for i in range(at, end, RECORD_SIZE))
        directories[path] = dict(zip(names, records, strict=True))
        at = end
    if at != len(data):
        raise ValueError("more than it says")
    return Index(directories, image=image)
