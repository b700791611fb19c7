"""The supervisor with children of its own, beside a platform that answers: it never gives them up."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from atoll.apps import children, platform_state, supervisor
from atoll.apps.addresses import Addresses, Inside
from atoll.apps.children import Program
from atoll.apps.programs import HUB, PROXY
from atoll.apps.supervisor import Supervisor
from atoll.kit.home import Home


class Answering(BaseHTTPRequestHandler):
    """Hub and service, which answer; the hub takes no routes to a new proxy."""

    def do_GET(self) -> None:
        self._say(200)

    def do_POST(self) -> None:
        self._say(503)

    def _say(self, status: int) -> None:
        body = json.dumps({"items": []}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


class Disk:
    """A disk that is full while `full`: nothing is written down, and no log is opened."""

    full = False

    def guard(self, real: Callable[..., object]) -> Callable[..., object]:
        def guarded(*given: object) -> object:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*given)

        return guarded


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(supervisor, "write", disk.guard(supervisor.write))
    monkeypatch.setattr(children, "open_log", disk.guard(children.open_log))
    monkeypatch.setattr(supervisor, "rotate", disk.guard(supervisor.rotate))
    monkeypatch.setattr(supervisor, "_ROTATE_S", 0.02)
    return disk


@pytest.fixture
async def platform(home: Home, port: int, disk: Disk) -> AsyncIterator[Supervisor]:
    """A supervisor of a proxy and a hub that only wait; it ends in order."""
    argv = (sys.executable, "-c", "import time; time.sleep(600)")
    programs = [
        Program(name, argv, dict(os.environ), home.run, grace_s=2.0) for name in (PROXY, HUB)
    ]
    inside = Inside(hub=port, proxy_api=9, service=port)
    addresses = Addresses(host="127.0.0.1", port=port, inside=inside)
    platform = Supervisor(home, addresses, programs, print)
    ready = asyncio.Event()
    running = asyncio.create_task(platform.run(ready.set))
    await asyncio.wait_for(ready.wait(), 20)
    yield platform
    disk.full = False
    platform.end()
    assert await asyncio.wait_for(running, 20) == 0
    assert not any(child.alive() for child in platform._children)


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not so():  # noqa: ASYNC110  # other processes set no event
            await asyncio.sleep(0.01)


async def killed(platform: Supervisor, name: str) -> None:
    """Kill a part, and return when it is back."""
    child = next(one for one in platform._children if one.program.name == name)
    before = child.process
    assert before is not None
    before.send(signal.SIGKILL)
    await until(lambda: child.process != before and child.alive())


async def test_a_part_is_kept_while_the_disk_is_full_and_afterwards(
    platform: Supervisor, disk: Disk, home: Home
) -> None:
    child = platform._children[1]
    before = child.process
    assert before is not None
    disk.full = True
    before.send(signal.SIGKILL)
    await until(lambda: child.restarts >= 2)  # tried, and tried again
    disk.full = False
    await until(child.alive)
    await killed(platform, HUB)
    restarts = next(p.restarts for p in platform_state.read(home).parts if p.name == HUB)
    assert restarts == child.restarts


async def test_a_proxy_that_dies_while_the_hub_takes_no_routes_is_started_again(
    platform: Supervisor,
) -> None:
    await killed(platform, PROXY)
    await killed(platform, PROXY)
    await killed(platform, PROXY)


async def test_a_platform_ends_in_order_on_a_full_disk(platform: Supervisor, disk: Disk) -> None:
    disk.full = True
    platform.end()
    await until(lambda: not any(child.alive() for child in platform._children))
