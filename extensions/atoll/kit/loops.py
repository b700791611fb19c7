"""Loops that never die: supervised tasks, a keyed work queue with back-off, and reconcilers on it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol

from atoll.kit.errors import AtollError

log = logging.getLogger(__name__)

FIRST_DELAY_S: Final = 0.5
LAST_DELAY_S: Final = 60.0
KNOWN_DELAY_S: Final = 5.0
"""The longest wait after a failure with a known cause, such as a database that is away: soon over."""


def back_off(failures: int, most_s: float = LAST_DELAY_S) -> float:
    """Seconds to wait after so many failures in a row: doubling, up to `most_s`, jittered by 20 %."""
    delay = min(most_s, FIRST_DELAY_S * 2.0 ** min(failures - 1, 10))
    return delay * random.uniform(0.8, 1.2)  # noqa: S311  # spreads load, keeps no secret


async def supervise(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run it for ever: where it raises or returns, say so and start it again, later each time."""
    failures = 0
    clock = asyncio.get_running_loop().time
    while True:
        started, most = clock(), LAST_DELAY_S
        try:
            await run()
            log.warning("%s ended; it is started again", name)
        except AtollError as error:
            log.warning("%s stopped (%s); it is started again", name, error)
            most = KNOWN_DELAY_S
        except Exception:  # the one place where anything may arrive: logged, restarted
            log.exception("%s failed; it is started again", name)
        failures = 1 if clock() - started > LAST_DELAY_S else failures + 1
        await asyncio.sleep(back_off(failures, most))


class KeyedQueue:
    """Work by key: a key is worked on by one worker at a time, and added twice is done once.

    A key added while it is being worked on is done once more afterwards.
    """

    def __init__(self) -> None:
        self._ready: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: set[str] = set()
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def add(self, key: str) -> None:
        """Have the key worked on as soon as a worker is free."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_later(self, key: str, delay_s: float) -> None:
        """Have the key worked on after a delay; the earlier of two delays counts."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + delay_s:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(delay_s, self.add, key)

    async def take(self) -> str:
        """The next key; it is this worker's until `done` or `failed`."""
        key = await self._ready.get()
        self._waiting.discard(key)
        self._working.add(key)
        return key

    def done(self, key: str) -> None:
        """The key was worked on without a failure."""
        self._failures.pop(key, None)
        self._release(key)

    def failed(self, key: str, most_s: float = LAST_DELAY_S) -> float:
        """The key's work raised; it is retried after the returned number of seconds, about `most_s` at most."""
        self._failures[key] = self._failures.get(key, 0) + 1
        delay = back_off(self._failures[key], most_s)
        self._release(key)
        self.add_later(key, delay)
        return delay

    def _release(self, key: str) -> None:
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)


class Reconciler(Protocol):
    """Closes the gap between target and status, one key at a time."""

    name: str

    async def pending(self) -> Iterable[str]:
        """The keys that may have a gap: read at the start and at every resync."""
        ...

    async def reconcile(self, key: str) -> float | None:
        """Move the key's status one step; the seconds until it wants to be looked at again, or None."""
        ...


async def run_reconciler(
    reconciler: Reconciler, queue: KeyedQueue, *, workers: int = 2, resync_s: float = 10.0
) -> None:
    """Run a reconciler: woken through the queue by events, and slowly by itself."""

    async def work() -> None:
        while True:
            key = await queue.take()
            try:
                again_s = await reconciler.reconcile(key)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # any failure is retried, visibly, later each time
                delay = queue.failed(key, min(LAST_DELAY_S, resync_s))  # a resync adds it anyhow
                known = isinstance(error, AtollError)
                log.log(
                    logging.WARNING if known else logging.ERROR,
                    "%s: %s failed (%s); again in %.1f s",
                    reconciler.name,
                    key,
                    error,
                    delay,
                    exc_info=not known,
                    extra={reconciler.name: key},
                )
                continue
            queue.done(key)
            if again_s is not None:
                queue.add_later(key, again_s)

    async def resync() -> None:
        while True:
            delay_s = resync_s
            try:
                for key in await reconciler.pending():
                    queue.add(key)
            except AtollError as error:
                delay_s = min(resync_s, KNOWN_DELAY_S)
                log.warning("%s: what is to do is not known (%s)", reconciler.name, error)
            await asyncio.sleep(delay_s)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(resync())
        for _ in range(workers):
            tasks.create_task(work())
