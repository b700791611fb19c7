"""Log files of processes that only write to their standard output: opened, and kept small."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

MOST_BYTES: Final = 10 * 1024 * 1024
KEPT: Final = 3  # older files beside the current one: NAME.1 is the youngest


def open_log(path: Path) -> int:
    """A file descriptor that appends to the log; closed to others. The caller closes it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    rotate(path)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def rotate(path: Path, most: int = MOST_BYTES, kept: int = KEPT) -> bool:
    """Set the log aside where it has grown too large; True if it was.

    The file stays and is emptied: processes go on to append to it. What they write in between the
    copy and the emptying (a millisecond) is lost. Where the disk has no room for the copy, all stays
    as it is until the next time.
    """
    draft = path.with_name(f"{path.name}.draft")
    try:
        if path.stat().st_size < most:
            return False
        shutil.copy2(path, draft)
        for number in range(kept - 1, 0, -1):
            older = path.with_name(f"{path.name}.{number}")
            if older.exists():
                older.replace(path.with_name(f"{path.name}.{number + 1}"))
        draft.replace(path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)
    except FileNotFoundError:
        return False
    except OSError as error:
        log.warning("%s cannot be set aside: %s", path, error)
        draft.unlink(missing_ok=True)
        return False
    return True


def last_lines(path: Path, lines: int, most_bytes: int = 16_384) -> list[str]:
    """The last lines of a log, none where there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - most_bytes))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line.strip()][-lines:]
