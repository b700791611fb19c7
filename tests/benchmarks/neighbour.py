"""A neighbour on the node: a server that answers requests, who asks it, and the times of the answers.

Both are processes in one pod, so that nothing outside it has a part in the times. `SMALL` requests are a
quarter of a millisecond of hashing, the hardest neighbour there is; `JUPYTER` is what runs beside a save on
this platform, a Jupyter server that lists a folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.contract.registry.servers import free_port

Request = Callable[[], None]
"""Asks once, and has the answer."""

SMALL, JUPYTER = "small", "jupyter"
_EVERY_S = {SMALL: 0.01, JUPYTER: 0.02}  # between requests
_LISTED = 50  # files in the folder
_BEGINS_S = 30.0
_PAYLOAD = 200_000  # bytes that it hashes for each request: about half a millisecond of work


def percentile(values: list[float], part: float) -> float:
    """The value below which this part of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


class Neighbour:
    """The server, as a context; `within` is put before its command."""

    def __init__(self, within: Sequence[str] = (), kind: str = SMALL) -> None:
        self._within = within
        self._kind = kind

    def __enter__(self) -> Self:
        command = [*self._within, sys.executable, "-m", "tests.benchmarks.neighbour", self._kind]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
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


def ask(request: Request, every_s: float) -> None:
    """Requests, from one line of standard input to the next, and their times after each second one."""
    while sys.stdin.readline():
        found = []
        while not select.select([sys.stdin], [], [], every_s)[0]:
            began = time.perf_counter()
            request()
            found.append(time.perf_counter() - began)
        sys.stdin.readline()
        print(json.dumps(found), flush=True)


@contextmanager
def small() -> Iterator[Request]:
    """A process that hashes something for each byte that it gets."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        payload = os.urandom(_PAYLOAD)
        while theirs.recv(1):
            theirs.send(hashlib.sha256(payload).digest())
        os._exit(0)
    theirs.close()

    def request() -> None:
        ours.send(b"x")
        ours.recv(64)

    yield request
    ours.close()
    os.wait()


@contextmanager
def jupyter() -> Iterator[Request]:
    """A Jupyter server that lists a folder of files."""
    with tempfile.TemporaryDirectory(prefix="atoll-neighbour-") as folder:
        port = free_port()
        for number in range(_LISTED):
            Path(folder, f"notebook-{number}.ipynb").write_text("{}")
        command = [sys.executable, "-m", "jupyter_server", "--allow-root", f"--port={port}"]
        command += ["--ip=127.0.0.1", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
            connection = HTTPConnection("127.0.0.1", port)

            def request() -> None:
                connection.request("GET", "/api/contents/?content=1")
                answer = connection.getresponse()
                assert len(json.loads(answer.read())["content"]) == _LISTED, answer.status

            try:
                _until_it_answers(connection)
                yield request
            finally:
                server.terminate()


def _until_it_answers(connection: HTTPConnection) -> None:
    end = time.monotonic() + _BEGINS_S
    while True:
        try:
            connection.request("GET", "/api/status")
            connection.getresponse().read()
        except ConnectionError:
            assert time.monotonic() < end, "no Jupyter server"
            connection.close()
            time.sleep(0.1)
        else:
            return


def main(kind: str) -> None:
    """Both, until the end of the input."""
    with (small if kind == SMALL else jupyter)() as request:
        print("ready", flush=True)
        ask(request, _EVERY_S[kind])


if __name__ == "__main__":
    main(sys.argv[1])
