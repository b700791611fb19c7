"""Plain files put into a tar stream without Python: a loop of Rust, where this installation has it.

Nearly all of an environment is plain files (one name, no attributes, no holes), and each cost 25 µs in
Python: opened, looked at, read, described. `extensions/native` does the same in 7 µs, a directory at a
time and without Python's lock, so that hashing and compressing go on beside. What is not plain it leaves
to the Python that this module's callers are, which is also all there is where the library was not built:
both give the same bytes.
"""

from __future__ import annotations

import ctypes
import logging
import os
import stat
import struct
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .source import Packed, PackedFile, Room

if TYPE_CHECKING:
    from .attributes import IdMap, IdMaps

LARGEST = 256 << 10
"""Bytes of the largest file that is packed: for larger ones Python's part no longer counts."""
ROOM = LARGEST + (128 << 10)
"""Bytes in which every such file fits: paths of 256 names, twice, are the largest headers."""

MOST = 128
"""Files of one call: about as many as are read in its time."""

_LIBRARY = Path(__file__).with_name("libatoll_native.so")
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_VERSION = 1  # of the library's interface
_SECTOR = 512
_SPECIAL = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_FILE = struct.Struct("=III")  # `Saved`: where its content starts, its size, whether it is torn
_log = logging.getLogger(__name__)


class Run(NamedTuple):
    """What became of the first of some files: `asks` where the next one is not plain."""

    packed: Packed
    torn: Sequence[int]  # positions among the files packed
    asks: bool


class _Range(ctypes.Structure):
    _fields_ = (
        ("inside", ctypes.c_uint32),
        ("outside", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
    )


class _Rules(ctypes.Structure):
    _fields_ = (
        ("look", ctypes.c_int),
        ("mapped", ctypes.c_int),
        ("largest", ctypes.c_uint64),
        ("uid", ctypes.c_int64),
        ("gid", ctypes.c_int64),
        ("uids", ctypes.POINTER(_Range)),
        ("uid_count", ctypes.c_size_t),
        ("gids", ctypes.POINTER(_Range)),
        ("gid_count", ctypes.c_size_t),
    )


class _Done(ctypes.Structure):
    _fields_ = (("files", ctypes.c_size_t), ("bytes", ctypes.c_size_t), ("asks", ctypes.c_int))


class Packer:
    """Packs the files of one source into the rooms that it is given; used by one thread."""

    def __init__(
        self,
        library: ctypes.CDLL,
        room: Room,
        *,
        owner: tuple[int, int] | None = None,
        ids: IdMaps | None = None,
    ) -> None:
        """`owner` and `ids` as in `Attributes`."""
        self._pack = library.atoll_pack
        self._room = room
        uid, gid = owner or (-1, -1)
        self._uids = _ranges(ids.uids if ids else ())
        self._gids = _ranges(ids.gids if ids else ())
        self._rules = _Rules(
            _LOOK, ids is not None, LARGEST, uid, gid,
            self._uids, len(self._uids), self._gids, len(self._gids),
        )  # fmt: skip
        self._saved = ctypes.create_string_buffer(MOST * _FILE.size)

    def pack(self, directory: int, parent: bytes, names: Sequence[bytes]) -> Run:
        """The first of the files `names` of the open `directory`, whose path is `parent` (with its slash).

        As many as come before one that is not plain, fit, and are read in half a millisecond: at
        least one, or `asks`.
        """
        names = names[:MOST]
        room = self._room(ROOM)
        done = self._pack(
            ctypes.byref(self._rules), directory, parent, len(parent),
            b"\0".join(names), len(names),
            ctypes.byref(ctypes.c_char.from_buffer(room)), len(room), self._saved,
        )  # fmt: skip
        files = []
        torn = []
        saved = memoryview(self._saved)[: done.files * _FILE.size]
        for number, (start, size, changed) in enumerate(_FILE.iter_unpack(saved)):
            files.append(PackedFile(parent + names[number], start, size))
            if changed:
                torn.append(number)
        return Run(Packed(room[: done.bytes], files), torn, bool(done.asks))


def packer(
    room: Room, *, owner: tuple[int, int] | None = None, ids: IdMaps | None = None
) -> Packer | None:
    """What packs into these rooms; None without the library, or for maps that no kernel has."""
    found = library()
    every = (*ids.uids, *ids.gids) if ids else ()
    if found is None or any(number >> 32 for one in every for number in one):
        return None
    return Packer(found, room, owner=owner, ids=ids)


def packable(status: os.stat_result) -> bool:
    """Whether something of this status may be a plain file; the library looks again at what it opens."""
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_nlink == 1
        and status.st_size <= LARGEST
        and status.st_blocks * _SECTOR >= status.st_size
        and not status.st_mode & _SPECIAL
    )


@lru_cache
def library() -> ctypes.CDLL | None:
    """The library; None where it was not built, or does not fit this machine."""
    if not _LIBRARY.exists():
        return None
    try:
        found = ctypes.CDLL(str(_LIBRARY))
        version = found.atoll_version()
    except (OSError, AttributeError) as error:
        _log.warning("The native library does not load; files are packed by Python: %s", error)
        return None
    if version != _VERSION:
        _log.warning("The native library is of another version; files are packed by Python.")
        return None
    found.atoll_pack.restype = _Done
    found.atoll_pack.argtypes = (
        ctypes.POINTER(_Rules), ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t,
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p,
    )  # fmt: skip
    return found


def _ranges(ids: IdMap) -> ctypes.Array[_Range]:
    return (_Range * len(ids))(*(_Range(*one) for one in ids))
