"""An unpacked layer as the very tar it came from: what docker and podman note of it, and its files.

The notes are JSON lines, gzipped: segments of the archive as they are (base64), and in between the
files whose content belongs there, by name and size.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from atoll import oci

_FILE: Final = 1
_SEGMENT: Final = 2
_MAX_LINE: Final = 64 << 20
_CHUNK: Final = 1 << 20
_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CONTENT: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def tar_of(notes: Path, directory: Path) -> Iterator[bytes]:
    """The archive's bytes, not verified; raises `MissingError` where notes or files are gone."""
    try:
        with gzip.open(notes, "rb") as lines:
            while line := lines.readline(_MAX_LINE):
                yield from _part(json.loads(line), directory)
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise oci.MissingError(
            f"A layer on this node cannot be packed again ({error}).",
            hint="Pull or build the image again.",
        ) from error


def _part(note: Mapping[str, object], directory: Path) -> Iterator[bytes]:
    payload = note.get("payload")
    if note["type"] == _SEGMENT:
        yield base64.b64decode(str(payload or ""), validate=True)
        return
    size = note.get("size", 0)
    if note["type"] != _FILE or not isinstance(size, int) or not size:
        return
    raw = note.get("name_raw")
    name = base64.b64decode(str(raw), validate=True) if raw else str(note["name"]).encode()
    yield from _content(directory, name, size)


def _content(directory: Path, name: bytes, size: int) -> Iterator[bytes]:
    """Exactly `size` bytes of a file in the directory; no symlink on the way is followed."""
    *parents, last = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in (*parents, last):
        raise ValueError(f"{name!r} leads out of the layer")
    here = os.open(directory, _DIRECTORY)
    try:
        for part in parents:
            inner = os.open(part, _DIRECTORY, dir_fd=here)
            os.close(here)
            here = inner
        file = os.open(last, _CONTENT, dir_fd=here)
    finally:
        os.close(here)
    try:
        while size:
            data = os.read(file, min(size, _CHUNK))
            if not data:
                raise ValueError(f"{name!r} is shorter than it was")
            size -= len(data)
            yield data
    finally:
        os.close(file)
