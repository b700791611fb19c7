"""A job's log: what its cells and processes print, up to a limit, so that no disk is filled."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

_PIECE: Final = 1 << 16


class LogFile:
    """Appends to the log until `most` bytes are in it; says so where more came. For any thread."""

    def __init__(self, path: Path, most: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self._left = most - os.fstat(self._file).st_size
        self._most = most
        self._full = False
        self._lock = threading.Lock()

    def write(self, text: str | bytes) -> int:
        """Append; what comes after the limit is dropped."""
        content = text.encode("utf-8", "replace") if isinstance(text, str) else text
        with self._lock:
            if self._full:
                return len(text)
            kept = content[: max(0, self._left)]
            self._left -= len(kept)
            self._append(kept)
            if len(kept) < len(content):
                self._full = True
                self._append(
                    f"\n[This log has reached {self._most >> 20} MiB; the rest is not kept.]\n".encode()
                )
        return len(text)

    def note(self, text: str) -> None:
        """Append a line of the platform's own, also beyond the limit."""
        with self._lock:
            self._append(f"{text}\n".encode("utf-8", "replace"))

    def flush(self) -> None:
        """Nothing waits in between."""

    def take_over(self) -> threading.Thread:
        """Have all that this process and its children print arrive here; returns what reads it."""
        reading, writing = os.pipe()
        for descriptor in (1, 2):
            os.dup2(writing, descriptor)
        os.close(writing)
        reader = threading.Thread(target=self._read, args=(reading,), daemon=True)
        reader.start()
        return reader

    def _read(self, descriptor: int) -> None:
        while piece := os.read(descriptor, _PIECE):
            self.write(piece)

    def _append(self, content: bytes) -> None:
        try:
            while content:
                content = content[os.write(self._file, content) :]
        except OSError:
            self._full = True  # the disk is full: a log is no reason for a job to end
