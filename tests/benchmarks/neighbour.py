"""A neighbour on the node: a server that answers small requests, who asks it, and the times of the answers.

Both are processes in one pod, so that nothing outside it has a part in the times.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

_EVERY_S = 0.01
_PAYLOAD = 200_000  # bytes that it hashes for each request: about half a millisecond of work


def percentile(values: list[float], part: float) -> float:
    """The value below which this part of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


class Neighbour:
    """The server, as a context; `within` is put before its command."""

    def __init__(self, within: Sequence[str] = ()) -> None:
        self._within = within

    def __enter__(self) -> Self:
        command = [*self._within, sys.executable, "-m", "tests.benchmarks.neighbour"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def latencies(self, seconds: float) -> list[float]:
        """The times of requests, a hundred a second, for so long."""
        self._say("begin")
        time.sleep(seconds)
        return self._ended()

    def latencies_until(self, process: subprocess.Popen[bytes]) -> list[float]:
        """The same until a process has ended."""
        self._say("begin")
        process.wait()
        return self._ended()

    def _ended(self) -> list[float]:
        self._say("end")
        assert self._process.stdout is not None
        found: list[float] = json.loads(self._process.stdout.readline())
        return found

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")


def ask(server: socket.socket) -> None:
    """Requests, from one line of standard input to the next, and their times after each second one."""
    while sys.stdin.readline():
        found = []
        while not select.select([sys.stdin], [], [], _EVERY_S)[0]:
            began = time.perf_counter()
            server.send(b"x")
            server.recv(64)
            found.append(time.perf_counter() - began)
        sys.stdin.readline()
        print(json.dumps(found), flush=True)


def serve(client: socket.socket) -> None:
    """Answers until the other end is closed."""
    payload = os.urandom(_PAYLOAD)
    while client.recv(1):
        client.send(hashlib.sha256(payload).digest())


def main() -> None:
    """Both, until the end of the input."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        serve(theirs)
        os._exit(0)
    theirs.close()
    ask(ours)
    ours.close()
    os.wait()


if __name__ == "__main__":
    main()
