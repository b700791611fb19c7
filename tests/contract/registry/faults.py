"""A reverse proxy over real sockets that does to a registry's traffic what networks and servers do."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_BLOCK = 64 << 10
_OURS = {"connection", "transfer-encoding", "keep-alive"}


@dataclass
class Seen:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]


Fault = Callable[["Passing"], None]
"""Deals with one request, in place of passing it on."""


@dataclass
class _Rule:
    method: str
    pattern: re.Pattern[str]
    fault: Fault
    skip: int
    times: int


@dataclass
class Faults:
    """The proxy's address, what it has seen, and what it is to do."""

    address: str
    seen: list[Seen] = field(default_factory=list)
    rules: list[_Rule] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def on(self, method: str, path: str, fault: Fault, *, skip: int = 0, times: int = 1) -> None:
        """Does `fault` to the next `times` requests of this kind, after `skip` more."""
        self.rules.append(_Rule(method, re.compile(path), fault, skip, times))

    def count(self, method: str, path: str = "") -> int:
        """How many requests of this kind came in."""
        return sum(
            one.method == method and re.search(path, one.path) is not None for one in self.seen
        )

    def chosen(self, seen: Seen) -> Fault | None:
        with self.lock:
            self.seen.append(seen)
            for rule in self.rules:
                if rule.method == seen.method and rule.pattern.search(seen.path) and rule.times:
                    if rule.skip:
                        rule.skip -= 1
                        continue
                    rule.times -= 1
                    return rule.fault
        return None


class Passing(BaseHTTPRequestHandler):
    """One request on its way to the registry."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # what is written in pieces arrives 40 ms late
    faults: Faults
    behind: tuple[str, int]
    opened: ExitStack  # what is closed after the request

    def __getattr__(self, name: str) -> Callable[[], None]:
        """`do_GET` and so on: all methods are dealt with in the same way."""
        if not name.startswith("do_"):
            raise AttributeError(name)
        return self.deal

    def log_message(self, *_: object) -> None:
        pass

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):
            super().handle_one_request()
            return
        self.close_connection = True

    def deal(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = self.faults.chosen(Seen(self.command, self.path, headers))
        with ExitStack() as self.opened:
            if fault is None:
                self.relay(self.passed_on())
            else:
                fault(self)

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", 0))

    def passed_on(self, most: int | None = None) -> http.client.HTTPResponse:
        """Sends the request to the registry; only `most` bytes of its body, then it hangs up there."""
        behind = http.client.HTTPConnection(*self.behind, timeout=30)
        self.opened.callback(behind.close)
        behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _OURS:
                behind.putheader(name, value)
        behind.endheaders()
        left = self.length if most is None else min(most, self.length)
        while left:
            block = self.rfile.read(min(_BLOCK, left))
            if not block:
                break
            left -= len(block)
            behind.send(block)
        if most is not None:
            raise ConnectionAbortedError
        return self.opened.enter_context(behind.getresponse())

    def relay(
        self,
        answer: http.client.HTTPResponse,
        *,
        headers: Mapping[str, str] | None = None,
        most: int | None = None,
        change: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """Sends the registry's answer on, with other headers, cut short, or with other bytes."""
        found = {name.lower(): value for name, value in answer.getheaders()}
        found.update(headers or {})
        self.send_response_only(answer.status)
        for name, value in found.items():
            if name not in _OURS:
                self.send_header(name, value)
        if "content-length" not in found:
            self.send_header("content-length", "0")
        self.end_headers()
        sent = 0
        while block := answer.read(_BLOCK):
            if most is not None:
                block = block[: most - sent]
            self.wfile.write(change(block) if change else block)
            sent += len(block)
            if most is not None and sent >= most:
                self.reset()
                return

    def drained(self) -> None:
        left = self.length
        while left > 0 and (block := self.rfile.read(min(_BLOCK, left))):
            left -= len(block)

    def reset(self) -> None:
        """Breaks the connection with a RST, as a dying peer does."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        raise ConnectionAbortedError


def answers(status: int, *, body: bytes = b"", read: bool = True, **headers: str) -> Fault:
    """Answers in place of the registry, with or without reading the request's body."""

    def fault(passing: Passing) -> None:
        if read:
            passing.drained()
        passing.send_response_only(status)
        for name, value in headers.items():
            passing.send_header(name.replace("_", "-"), value)
        passing.send_header("content-length", str(len(body)))
        passing.end_headers()
        passing.wfile.write(body)
        passing.close_connection = passing.close_connection or not read

    return fault


def resets(passing: Passing) -> None:
    """Breaks the connection before the registry sees anything."""
    passing.reset()


def resets_after(size: int) -> Fault:
    """The registry gets `size` bytes of the body, then both connections break."""

    def fault(passing: Passing) -> None:
        with suppress(ConnectionAbortedError):
            passing.passed_on(size)
        passing.opened.close()
        passing.reset()

    return fault


def loses_the_answer(passing: Passing) -> None:
    """The registry does what it is asked, but its answer is lost."""
    passing.passed_on().read()
    passing.reset()


def cuts_the_answer(size: int) -> Fault:
    """The connection breaks after `size` bytes of the answer's body."""
    return lambda passing: passing.relay(passing.passed_on(), most=size)


def says(**headers: str) -> Fault:
    """Passes on, but changes headers of the answer."""
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda passing: passing.relay(passing.passed_on(), headers=changed)


def changes_bytes(passing: Passing) -> None:
    """Passes on, but one bit of the answer is another one."""
    passing.relay(passing.passed_on(), change=lambda block: bytes([block[0] ^ 1]) + block[1:])


def sends_other_bytes(passing: Passing) -> None:
    """The registry receives one byte changed."""
    original = passing.rfile.read

    def read(size: int = -1, /) -> bytes:
        block = original(size)
        return bytes([block[0] ^ 1]) + block[1:] if block else block

    passing.rfile.read = read  # type: ignore[method-assign]
    try:
        passing.relay(passing.passed_on())
    finally:
        passing.rfile.read = original  # type: ignore[method-assign]


def waits(event: threading.Event, most: float = 20.0) -> Fault:
    """Passes on when `event` is set."""

    def fault(passing: Passing) -> None:
        event.wait(most)
        passing.relay(passing.passed_on())

    return fault


def slowly(rate: int) -> Fault:
    """Reads the request's body at `rate` bytes a second before it passes on."""

    def fault(passing: Passing) -> None:
        original = passing.rfile.read

        def read(size: int = -1, /) -> bytes:
            time.sleep(min(size, passing.length) / rate)
            return original(size)

        passing.rfile.read = read  # type: ignore[method-assign]
        passing.relay(passing.passed_on())

    return fault


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # broken connections are what this is for


@contextmanager
def proxy(port: int) -> Iterator[Faults]:
    """Runs a proxy before the registry on `port` until the block ends."""
    handler = type("Handler", (Passing,), {"behind": ("127.0.0.1", port)})
    with _Server(("127.0.0.1", 0), handler) as server:
        faults = Faults(f"127.0.0.1:{server.server_address[1]}")
        handler.faults = faults  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield faults
        finally:
            server.shutdown()
            thread.join()
