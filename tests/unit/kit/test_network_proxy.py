"""A network with a proxy: the platform's own calls never pass it, those from elsewhere may."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from atoll.hub import saving
from atoll.kit.errors import UnavailableError
from atoll.kit.http import AsyncConnection, Call, Connection
from atoll.kit.hub import HubAuth
from atoll.kit.hub_api import HubApi

WHO = Call("GET", "who", dict)


class Listening(ThreadingHTTPServer):
    """Answers every request alike, and notes the tokens that it saw."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.status = status
        self.tokens: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Answering(BaseHTTPRequestHandler):
    server: Listening

    def do_GET(self) -> None:
        self.server.tokens.append(self.headers.get("Authorization", ""))
        body = json.dumps({"items": [], "kind": "user", "name": "ada"}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the test looks at `tokens`."""


def listening(status: int) -> Iterator[Listening]:
    with Listening(status) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def platform() -> Iterator[Listening]:
    yield from listening(200)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    """The network's proxy, as an operator's shell names it."""
    for found in listening(503):
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, found.url)
            monkeypatch.setenv(name.upper(), found.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        yield found


async def test_the_platforms_own_calls_do_not_pass_the_proxy(
    platform: Listening, proxy: Listening
) -> None:
    hub = HubApi(platform.url, "up-token")
    assert hub.running() == set()
    hub.close()
    with Connection(platform.url, "hub-token", direct=True) as service:
        service.send(WHO)
    auth = HubAuth(platform.url)
    await auth.identify("users-token")
    await auth.close()
    for connection in (
        AsyncConnection(platform.url, "hub-token", direct=True),
        saving.connection(platform.url, "hub-token"),
    ):
        await connection.send(WHO)
        await connection.close()
    assert len(platform.tokens) == 5
    assert proxy.tokens == []


def test_a_connection_from_elsewhere_passes_the_proxy(
    platform: Listening, proxy: Listening
) -> None:
    with Connection(platform.url, "t") as service, pytest.raises(UnavailableError):
        service.send(WHO)
    assert (platform.tokens, proxy.tokens) == ([], ["token t"])


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "localhost,127.0.0.1", "*"])
def test_it_does_not_where_no_proxy_says_so(
    platform: Listening, proxy: Listening, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    monkeypatch.setenv("NO_PROXY", no_proxy)
    with Connection(platform.url, "t") as service:
        service.send(WHO)
    assert (platform.tokens, proxy.tokens) == (["token t"], [])
