"""The orderly end of many servers, with a hub and a service that take their time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from atoll.apps import settling
from atoll.apps.addresses import Addresses, Inside
from atoll.apps.settling import Settling
from atoll.kit.errors import AtollError
from atoll.kit.home import Home

AWAY_S = 1.5


class Platform:
    """What the hub and the service know: each server's status, and what happens to it."""

    def __init__(self, servers: int) -> None:
        self.statuses = {f"u{number:02}": "running" for number in range(servers)}
        self.stuck: set[str] = set()
        self.stop_s = 0.0
        self.save_s = 0.0
        self.turn: threading.Lock | None = None  # a hub that stops one at a time
        self.broken = False  # a service that meets an error of its own
        self.lock = threading.Lock()

    def stop(self, user: str) -> None:
        """The hub's part of a stop; the save follows."""
        if user in self.stuck:
            return
        with self.turn or threading.Lock():
            time.sleep(self.stop_s)
        with self.lock:
            if self.statuses[user] == "running":
                self.statuses[user] = "unsaved"
                threading.Timer(self.save_s, self.save, (user,)).start()

    def save(self, user: str) -> None:
        """The service's part."""
        with self.lock:
            self.statuses[user] = "saved"

    def answer(self, method: str, path: str) -> object:
        """As the hub (`/hub/api/users…`) and the service (`…/servers`) answer."""
        if method == "DELETE":
            self.stop(path.split("/")[4])
            return None
        with self.lock:
            if path.startswith("/hub"):
                running = [u for u, status in self.statuses.items() if status == "running"]
                return {"items": [{"name": u, "servers": {"": {"name": ""}}} for u in running]}
            return {
                "items": [
                    {"user": u, "name": "", "target": "saved", "status": status, "version": 1}
                    for u, status in self.statuses.items()
                ]
            }


@contextmanager
def answering(platform: Platform) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            status, answer = 200, platform.answer(self.command, self.path)
            if platform.broken and not self.path.startswith("/hub"):
                problem = AtollError("The platform met an error of its own.").problem()
                status, answer = 500, problem.model_dump(mode="json")
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_DELETE = answer  # noqa: N815  # names of http.server

        def log_message(self, *_: object) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Nothing: who was in a hurry went away."""

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        server.shutdown()


Settle = Callable[..., list[str]]


@pytest.fixture
def settle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settle:
    """Ends a platform in order, where the network has a proxy; gives what was said."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")  # nobody listens there
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(settling, "_AWAY_S", AWAY_S)
    monkeypatch.setattr(settling, "_LOOK_S", 0.01)
    home = Home(tmp_path / "home")
    home.create()

    def run(platform: Platform, hurried: Callable[[], bool] = lambda: False) -> list[str]:
        said: list[str] = []
        with answering(platform) as port:
            inside = Inside(hub=port, proxy_api=9, service=port)
            addresses = Addresses(host="127.0.0.1", port=9, inside=inside)
            Settling(home, addresses, said.append, hurried).run()
        return said

    return run


def test_many_servers_are_stopped_at_once(settle: Settle) -> None:
    platform = Platform(16)
    platform.stop_s = AWAY_S / 2
    began = time.monotonic()
    settle(platform)
    assert set(platform.statuses.values()) == {"saved"}
    assert time.monotonic() - began < 16 * platform.stop_s / 2


def test_a_slow_hub_is_waited_for_while_it_gets_on(settle: Settle) -> None:
    platform = Platform(8)
    platform.stop_s, platform.turn = AWAY_S / 4, threading.Lock()
    assert not [line for line in settle(platform) if "does not" in line]
    assert set(platform.statuses.values()) == {"saved"}


def test_saves_are_waited_for_although_a_server_does_not_stop(settle: Settle) -> None:
    platform = Platform(3)
    platform.stuck, platform.save_s = {"u01"}, AWAY_S * 2
    said = settle(platform)
    assert platform.statuses == {"u00": "saved", "u01": "running", "u02": "saved"}
    assert [line for line in said if "The hub does not stop all servers" in line]


def test_who_is_in_a_hurry_waits_for_nothing(settle: Settle) -> None:
    platform = Platform(3)
    platform.stuck = set(platform.statuses)
    looks = iter([False, False])
    said = settle(platform, lambda: next(looks, True))
    assert said[-1].startswith("Not waiting any longer.")


def test_an_error_of_the_service_itself_keeps_nothing_from_ending(settle: Settle) -> None:
    platform = Platform(2)
    platform.broken = True
    said = settle(platform)
    assert said[-1].endswith("What is not saved yet is saved at the next start.")
    assert set(platform.statuses.values()) <= {"unsaved", "saved"}
