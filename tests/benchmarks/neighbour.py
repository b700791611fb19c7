"""A neighbour on the node: a server in a process of its own that answers small requests, and their times."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

_EVERY_S = 0.01
_PAYLOAD = 200_000  # bytes that it hashes for each request: about half a millisecond of work


def percentile(values: list[float], part: float) -> float:
    """The value below which this part of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


class Neighbour:
    """The server, as a context."""

    def __enter__(self) -> Self:
        self._ours, there = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.neighbour", str(there.fileno())],
            pass_fds=[there.fileno()],
        )
        there.close()
        self._ask()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ours.close()
        self._process.wait()

    def latencies(self, seconds: float) -> list[float]:
        """The times of requests, a hundred a second, for so long."""
        end = time.monotonic() + seconds
        found = []
        while time.monotonic() < end:
            found.append(self._ask())
            time.sleep(_EVERY_S)
        return found

    def latencies_until(self, process: subprocess.Popen[bytes]) -> list[float]:
        """The same until a process has ended."""
        found = []
        while process.poll() is None:
            found.append(self._ask())
            time.sleep(_EVERY_S)
        return found

    def _ask(self) -> float:
        began = time.perf_counter()
        self._ours.send(b"x")
        self._ours.recv(64)
        return time.perf_counter() - began


def main() -> None:
    """Answers until the other end is closed."""
    payload = os.urandom(_PAYLOAD)
    with socket.socket(fileno=int(sys.argv[1])) as there:
        while there.recv(1):
            there.send(hashlib.sha256(payload).digest())


if __name__ == "__main__":
    main()
