"""A small HTTP service that stands where the platform's is, and remembers what reached it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Received:
    """A request as it arrived: nothing decoded."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Upstream:
    """`events` is what its stream sends next: bytes, or None to end the stream."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    events: queue.Queue[bytes | None] = field(default_factory=queue.Queue)
    streams: queue.Queue[Received] = field(default_factory=queue.Queue)
    refuse_events: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/services/atoll/"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # what is written in pieces arrives 40 ms late
    upstream: Upstream

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Received(self.command, self.path, dict(self.headers.items()), body)
        if self.path == "/services/atoll/api/v1/events":
            self.stream(request)
            return
        self.upstream.received.append(request)
        if self.path.endswith("/broken-off"):
            self.break_off()
        elif self.path.endswith("/elsewhere"):
            self.send(302, b"", "text/plain", Location=f"{self.upstream.url}api/v1/me")
        elif self.path.endswith("/missing"):
            self.send(404, b'{"code": "not_found"}', "application/problem+json")
        elif self.command == "DELETE":
            self.send(204, b"", "application/json")
        else:
            self.send(200, b'{"name": "ada"}', "application/json", **{"Set-Cookie": "a=b"})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815  # http.server's names

    def send(self, status: int, body: bytes, content_type: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def break_off(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"half":')
        self.close_connection = True

    def stream(self, request: Received) -> None:
        if self.upstream.refuse_events:
            self.send(401, b'{"status":401,"code":"unauthenticated","title":"Log in first",'
                           b'"detail":"The hub does not know this token."}', "application/problem+json")  # fmt: skip
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b": welcome\n\n")
        self.upstream.streams.put(request)
        while (piece := self.upstream.events.get()) is not None:
            self.wfile.write(piece)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def serving(port: int = 0) -> Iterator[Upstream]:
    upstream = Upstream()
    handler = type("Bound", (Handler,), {"upstream": upstream})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    server.block_on_close = False
    upstream.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield upstream
    finally:
        upstream.events.put(None)
        server.shutdown()
        thread.join()
        server.server_close()
