"""A service that is away for a moment: what is sent again, and what never is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from atoll.kit.errors import TooLargeError, UnavailableError
from atoll.kit.http import Call, Connection


class Gateway(ThreadingHTTPServer):
    """A proxy whose service comes back after some requests; it notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.away = 0
        self.says = 503
        self.explained = False
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/v1/"


class Answering(BaseHTTPRequestHandler):
    server: Gateway

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(self.command)
        back = len(self.server.asked) > self.server.away
        body = b'"here"' if back else b'{"status": 503, "title": "Busy", "detail": "Full."}'
        self.send_response(200 if back else self.server.says)
        kind = "application/problem+json" if self.server.explained and not back else "text/html"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815  # names of http.server

    def log_message(self, *args: object) -> None:
        """Nothing: the test looks at `asked`."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def test_a_read_is_sent_again_until_the_service_is_back(gateway: Gateway) -> None:
    gateway.away = 3
    with Connection(gateway.url, "t", patience_s=30) as service:
        assert service.send(Call("GET", "datasets", str)) == "here"
    assert gateway.asked == ["GET"] * 4


def test_without_patience_it_is_sent_once(gateway: Gateway) -> None:
    gateway.away = 1
    with Connection(gateway.url, "t") as service, pytest.raises(UnavailableError):
        service.send(Call("GET", "datasets", str))
    assert gateway.asked == ["GET"]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_what_changes_something_and_may_have_arrived_is_never_sent_twice(
    gateway: Gateway, method: str
) -> None:
    gateway.away = 1
    with Connection(gateway.url, "t", patience_s=30) as service, pytest.raises(UnavailableError):
        service.send(Call(method, "jobs", str))
    assert gateway.asked == [method]


def test_what_the_service_says_at_the_end_of_patience_is_told(gateway: Gateway) -> None:
    gateway.away, gateway.explained = 1000, True
    with (
        Connection(gateway.url, "t", patience_s=0.6) as service,
        pytest.raises(UnavailableError, match="503"),
    ):
        service.send(Call("GET", "datasets", str))
    assert len(gateway.asked) > 1


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_service_that_is_restarted_is_told_to_come_back(gateway: Gateway, status: int) -> None:
    gateway.away, gateway.says = 1, status
    with Connection(gateway.url, "t") as service, pytest.raises(UnavailableError) as error:
        service.send(Call("GET", "datasets", str))
    assert str(status) in error.value.detail
    assert "It is restarted by itself; try again in a few seconds." in (error.value.hint or "")


def test_an_answer_of_something_else_is_told_as_a_wrong_address(gateway: Gateway) -> None:
    with (
        Connection(gateway.url, "t") as service,
        pytest.raises(UnavailableError, match=r"something unexpected.*address of the platform"),
    ):
        service.send(Call("GET", "me", int))


def test_a_proxy_that_takes_no_request_so_long_is_understood_without_an_explanation(
    gateway: Gateway,
) -> None:
    gateway.away, gateway.says = 1, 413
    with Connection(gateway.url, "t") as service, pytest.raises(TooLargeError, match="413"):
        service.send(Call("POST", "nodes", str))


def test_a_change_that_was_not_delivered_waits_for_the_service(gateway: Gateway) -> None:
    port = gateway.server_port
    gateway.shutdown()  # a loop that still polls would keep the socket open, and reset who connects
    gateway.server_close()  # nobody listens now
    again = Gateway.__new__(Gateway)

    def come_back() -> None:
        ThreadingHTTPServer.__init__(again, ("127.0.0.1", port), Answering)
        again.away, again.explained, again.asked = 0, False, []
        again.serve_forever(0.02)

    timer = threading.Timer(0.6, come_back)
    timer.daemon = True
    timer.start()
    with Connection(f"http://127.0.0.1:{port}/", "t", patience_s=30) as service:
        assert service.send(Call("POST", "jobs", str)) == "here"
    assert again.asked == ["POST"]
    again.shutdown()
    again.server_close()


def test_patience_ends() -> None:
    with (
        Connection("http://127.0.0.1:9/", "t", patience_s=0.5) as service,
        pytest.raises(UnavailableError, match="does not answer"),
    ):
        service.send(Call("GET", "datasets", str))
