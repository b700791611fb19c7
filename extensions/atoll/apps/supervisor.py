"""The embedded supervisor: keeps proxy, hub and service running as siblings, and ends them in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import httpx

from atoll.apps.addresses import Addresses
from atoll.apps.children import Child, Program
from atoll.apps.platform_state import Part, Phase, PlatformStatus, write
from atoll.apps.programs import HUB, PROXY
from atoll.apps.settling import Settling
from atoll.kit.db import now
from atoll.kit.home import Home
from atoll.kit.logfiles import last_lines, rotate
from atoll.kit.loops import back_off, supervise
from atoll.kit.processes import ProcessId

log = logging.getLogger(__name__)

_ASK_S: Final = 0.1  # between questions whether the platform answers
_STEADY_S: Final = 60.0  # a child that ran this long starts again without waiting
_ROTATE_S: Final = 30.0
_TRIES_AT_START: Final = 3  # a part that dies this often before the platform is ready will not live
_READY_S: Final = 120.0


class Supervisor:
    """One platform. `say` tells whoever started it, a sentence at a time."""

    def __init__(
        self, home: Home, addresses: Addresses, programs: list[Program], say: Callable[[str], None]
    ) -> None:
        self._home = home
        self._addresses = addresses
        self._say = say
        self._children = [
            Child(program, home.run, home.logs / f"{program.name}.log") for program in programs
        ]
        self._signals = 0
        self._stop = asyncio.Event()
        self._hurry = threading.Event()
        self._routes_lost = asyncio.Event()
        self._failed: str | None = None
        self._phase = Phase.STARTING
        self._message = ""
        self._since = now()

    async def run(self, ready: Callable[[], None]) -> int:
        """Run until told to end by a signal; calls `ready` once. The exit status: 1 where it failed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.end)
        await self._begin()
        keepers = [
            asyncio.create_task(supervise(name, work)) for name, work in self._kept().items()
        ]
        self._write()
        if await self._answers():
            self._phase, self._message = Phase.READY, ""
            self._write()
            ready()
            await self._stop.wait()
        await self._wind_down(keepers)
        if self._failed is not None:
            self._say(self._failed)
            return 1
        return 0

    def end(self) -> None:
        """End as by a signal; the second time without waiting for servers to be saved."""
        self._signals += 1
        self._stop.set()
        if self._signals > 1:
            self._hurry.set()

    async def _begin(self) -> None:
        """Take over or start every child."""
        taken = set()
        for child in self._children:
            if await child.take_over():
                taken.add(child.program.name)
                log.info("took over the %s", child.program.name)
            else:
                self._start(child)
        if HUB in taken and PROXY not in taken:
            self._routes_lost.set()

    def _kept(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What is to be done for the children from now on; an error of one ends none."""
        work: dict[str, Callable[[], Awaitable[None]]] = {
            f"keeping the {child.program.name}": partial(self._keep, child)
            for child in self._children
        }
        return {**work, "renewing routes": self._keep_routes, "setting logs aside": self._rotate}

    async def _wind_down(self, keepers: list[asyncio.Task[None]]) -> None:
        """Stop the servers and have them saved, then end the parts; a second signal skips the wait."""
        was_ready = self._phase is Phase.READY
        self._phase = Phase.STOPPING
        self._write()
        try:
            if was_ready:
                await self._settle()
        finally:  # whatever that met: nothing runs on that nobody looks after
            for task in keepers:
                task.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            for child in reversed(self._children):
                await child.end()
            self._phase, self._message = Phase.DOWN, ""
            self._write()

    async def _settle(self) -> None:
        loop = asyncio.get_running_loop()

        def say(message: str) -> None:
            loop.call_soon_threadsafe(self._tell, message)

        settling = Settling(self._home, self._addresses, say, self._hurry.is_set)
        await asyncio.to_thread(settling.run)

    async def _keep(self, child: Child) -> None:
        """Start the child again whenever it ends, later each time where it ends at once."""
        clock = asyncio.get_running_loop().time
        failures, started = 0, clock()
        while self._failed is None:
            await child.gone()
            failures = 1 if clock() - started > _STEADY_S else failures + 1
            log.warning("the %s ended; it is started again", child.program.name)
            if self._phase is Phase.STARTING and failures >= _TRIES_AT_START:
                self._give_up(child)
                return
            if failures > 1:
                await asyncio.sleep(back_off(failures - 1))
            child.restarts += 1
            self._start(child)
            started = clock()
            if child.program.name == PROXY:
                self._routes_lost.set()
            self._write()

    def _start(self, child: Child) -> None:
        """Start it; where the machine cannot, as with a full disk, its keeper tries again."""
        try:
            child.start()
        except OSError as error:
            log.error("the %s cannot be started: %s", child.program.name, error)  # noqa: TRY400

    def _give_up(self, child: Child) -> None:
        end = "\n".join(last_lines(child.log, 12))
        self._failed = (
            f"The {child.program.name} does not start. The end of its log ({child.log}):\n{end}"
        )
        self._stop.set()

    async def _answers(self) -> bool:
        """Whether people and programs get answers; False where it was given up or told to end."""
        urls = [
            f"{self._addresses.url}hub/login",
            f"{self._addresses.url}services/atoll/readyz",
        ]
        deadline = asyncio.get_running_loop().time() + _READY_S
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as http:
            while urls:
                if self._stop.is_set():
                    return False
                if asyncio.get_running_loop().time() > deadline:
                    self._failed = (
                        f"The platform did not answer; its logs are in {self._home.logs}."
                    )
                    return False
                try:
                    answer = await http.get(urls[0])
                except httpx.HTTPError:
                    answer = None  # not listening yet
                if answer is not None and answer.status_code == httpx.codes.OK:
                    urls.pop(0)
                else:
                    await asyncio.sleep(_ASK_S)
        return True

    async def _keep_routes(self) -> None:
        """Renew the routes whenever the proxy was started again, however long the hub is away."""
        while True:
            await self._routes_lost.wait()
            self._routes_lost.clear()
            await self._renew_routes()

    async def _renew_routes(self) -> None:
        """Have the hub tell a restarted proxy where everything is, as soon as both answer."""
        token = self._home.secret("up-token")
        headers = {"Authorization": f"token {token}"}
        async with httpx.AsyncClient(timeout=10.0, trust_env=False, headers=headers) as http:
            while True:
                try:
                    answer = await http.post(f"{self._addresses.hub_api}proxy")
                except httpx.HTTPError:
                    answer = None  # the hub is away too; it sets the routes itself when it starts
                if answer is not None and answer.is_success:
                    return
                await asyncio.sleep(_ASK_S)

    async def _rotate(self) -> None:
        while True:
            for child in self._children:
                await asyncio.to_thread(rotate, child.log)
            await asyncio.sleep(_ROTATE_S)

    def _tell(self, message: str) -> None:
        self._message = message
        self._say(message)
        self._write()

    def _write(self) -> None:
        """Write down how the platform stands, for `atoll status`; it runs on where that fails."""
        try:
            write(self._home, self._status())
        except OSError as error:
            log.warning("the platform's state cannot be written down: %s", error)

    def _status(self) -> PlatformStatus:
        return PlatformStatus(
            home=str(self._home.path),
            phase=self._phase,
            url=self._addresses.url,
            message=self._message,
            since=self._since,
            supervisor=ProcessId.of(os.getpid()),
            parts=[
                Part(
                    name=child.program.name,
                    process=child.process,
                    running=child.alive(),
                    restarts=child.restarts,
                )
                for child in self._children
            ],
        )
