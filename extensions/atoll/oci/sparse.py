"""Reading a file's bytes exactly to a size: holes are not read, and what is missing is zeros."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)
_SECTOR = 512  # the unit of st_blocks, whatever the file system's own


def has_holes(status: os.stat_result) -> bool:
    """Whether a file takes less room than it has bytes."""
    return status.st_blocks * _SECTOR < status.st_size


def pieces(descriptor: int, size: int, *, holes: bool) -> Iterator[bytes]:
    """Exactly `size` bytes from the start: cut, or filled with zeros, where the file changed.

    Layers carry holes as zeros: "sparse files SHOULD NOT be used" (OCI image specification,
    layer.md), but with `holes` they are not read for that.
    """
    at = 0
    while at < size:
        begin, end = _data(descriptor, at, size) if holes else (at, size)
        yield from _zeros(begin - at)
        at = begin
        while at < end:
            piece = os.pread(descriptor, min(end - at, _CHUNK), at)
            if not piece:
                yield from _zeros(size - at)
                return
            at += len(piece)
            yield piece


def _data(descriptor: int, at: int, size: int) -> tuple[int, int]:
    """Where the next data begins and ends; both are `size` where only a hole follows."""
    try:
        begin = os.lseek(descriptor, at, os.SEEK_DATA)
        end = os.lseek(descriptor, begin, os.SEEK_HOLE)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a hole to the end, or the file is shorter by now
            return size, size
        if error.errno == errno.EINVAL:  # this file system does not tell
            return at, size
        raise
    return min(begin, size), min(end, size)


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield _ZEROS[: min(count, _CHUNK)]
        count -= _CHUNK
