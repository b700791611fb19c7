"""Reading files that users could have replaced by anything."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_bounded(path: Path, offset: int, most: int) -> tuple[bytes, int] | None:
    """Up to `most` bytes from `offset`, and the file's size; None where there is no plain file.

    For places where users may put anything: never follows a link, never waits for a pipe.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        size = found.st_size
        file.seek(min(offset, size))
        return file.read(most), size
