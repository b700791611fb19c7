"""Before the platform ends: stop the servers, and wait until the service has saved them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from atoll.apps.addresses import Addresses
from atoll.checkpoints import client
from atoll.checkpoints.models import Server, ServerStatus
from atoll.kit.errors import AtollError, UnavailableError
from atoll.kit.home import Home
from atoll.kit.http import Connection
from atoll.kit.hub_api import HubApi
from atoll.kit.names import server_segment

_LOOK_S: Final = 0.2
_AWAY_S: Final = 30.0  # a hub or service that gets nowhere for so long is not waited for
_AT_ONCE: Final = 16  # servers that the hub is asked to stop at the same time
_FAILING_S: Final = 30.0  # a save that cannot be done now is tried again at the next start
_AT_REST: Final = (ServerStatus.FRESH, ServerStatus.SAVED)
_ENDED: Final = (ServerStatus.UNSAVED, ServerStatus.SAVING)


class _Stopping:
    """Has the hub stop its servers, many at once, and asks again for those that run on."""

    def __init__(self, hub: HubApi, say: Callable[[str], None]) -> None:
        self._hub = hub
        self._say = say
        self._pool = ThreadPoolExecutor(_AT_ONCE, "stopping")
        self._asked: dict[tuple[str, str], Future[None]] = {}
        self._left: set[tuple[str, str]] | None = None

    @property
    def done(self) -> bool:
        """Whether the hub said that none runs."""
        return self._left == set()

    def gets_on(self) -> bool:
        """Look which servers run and ask for each; True where they are others than before."""
        try:
            running = self._hub.running()
        except UnavailableError:
            return False  # it is being restarted
        for one in sorted(running):
            if one not in self._asked:
                self._say(f"stopping {one[0]}/{server_segment(one[1])}")
            if one not in self._asked or self._asked[one].done():
                self._asked[one] = self._pool.submit(self._hub.stop_server, *one)
        before, self._left = self._left, running
        return running != before

    def close(self) -> None:
        """Ask for nothing more, and wait for no answer."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Settling:
    """One orderly end. Blocks: run it in a thread. `hurried` tells that nobody wants to wait."""

    def __init__(
        self,
        home: Home,
        addresses: Addresses,
        say: Callable[[str], None],
        hurried: Callable[[], bool],
    ) -> None:
        self._home = home
        self._addresses = addresses
        self._say = say
        self._hurried = hurried
        self._failing_since: dict[str, float] = {}

    def run(self) -> None:
        """Stop every server; return when all are saved, or the rest cannot be saved now."""
        try:
            stopped = self._stop_all()
            self._wait_for_saves(stopped)
        except AtollError as error:  # also one of the service's own: the platform ends all the same
            self._say(f"{error} What is not saved yet is saved at the next start.")

    def _stop_all(self) -> bool:
        """Have the hub stop all servers; False where it does not get on with it."""
        hub = HubApi(self._addresses.hub_api, self._home.secret("up-token"))
        stopping = _Stopping(hub, self._say)
        deadline = time.monotonic() + _AWAY_S
        try:
            while time.monotonic() < deadline:
                self._check_hurry()
                if stopping.gets_on():
                    deadline = time.monotonic() + _AWAY_S
                if stopping.done:
                    return True
                time.sleep(_LOOK_S)
        finally:
            stopping.close()
            hub.close()
        self._say("The hub does not stop all servers; those that run on are saved later.")
        return False

    def _wait_for_saves(self, stopped: bool) -> None:
        """Return when all are saved; where not all were stopped, all that ended."""
        token = self._home.secret("hub-token")
        deadline = time.monotonic() + _AWAY_S
        with Connection(f"{self._addresses.service}api/v1/", token, direct=True) as service:
            while time.monotonic() < deadline:
                self._check_hurry()
                try:
                    waiting = [
                        one
                        for one in _servers(service)
                        if (one.status not in _AT_REST if stopped else one.status in _ENDED)
                    ]
                    if not waiting:
                        return
                    deadline = time.monotonic() + _AWAY_S
                    self._tell_of(waiting)
                except UnavailableError:
                    waiting = []
                if waiting and self._all_fail(waiting):
                    reasons = "; ".join(f"{_name(one)}: {one.message}" for one in waiting)
                    raise UnavailableError(f"Not everything can be saved now. {reasons}")
                time.sleep(_LOOK_S)
        raise UnavailableError("The service does not answer.")

    def _check_hurry(self) -> None:
        if self._hurried():
            raise UnavailableError("Not waiting any longer.")

    def _tell_of(self, waiting: Iterable[Server]) -> None:
        for one in waiting:
            self._say(f"saving {_name(one)}{_how_far(one)}")

    def _all_fail(self, waiting: Iterable[Server]) -> bool:
        """Whether each of them has been failing for a while."""
        now = time.monotonic()
        failing = {_name(one): one.reason is not None for one in waiting}
        self._failing_since = {
            name: self._failing_since.get(name, now) for name, fails in failing.items() if fails
        }
        return all(
            name in self._failing_since and now - self._failing_since[name] > _FAILING_S
            for name in failing
        )


def _servers(service: Connection) -> list[Server]:
    found: list[Server] = []
    cursor: str | None = None
    while True:
        page = service.send(client.servers(cursor=cursor, limit=200))
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


def _name(server: Server) -> str:
    return f"{server.user}/{server_segment(server.name)}"


def _how_far(server: Server) -> str:
    if server.reason is not None:
        return f": {server.message}"
    if server.progress.total:
        return f", {100 * server.progress.done // server.progress.total} %"
    return ""
