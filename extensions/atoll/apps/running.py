"""The service's loops: the event stream, one reconciler of each kind, and the pruning of old events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from atoll.kit.errors import AtollError
from atoll.kit.events import Event, EventStream
from atoll.kit.loops import KeyedQueue, Reconciler, back_off, run_reconciler, supervise

log = logging.getLogger(__name__)

WORKERS: Final = 4
"""Keys that one reconciler works on at a time; most of that is waiting for disks."""
_PRUNE_EVERY_S: Final = 3600.0


class Loops:
    """Everything that runs beside the routes. An event wakes the reconciler of its kind."""

    def __init__(
        self,
        events: EventStream,
        reconcilers: Iterable[Reconciler],
        at_start: Iterable[Callable[[], None]] = (),
        beside: Mapping[str, Callable[[], Awaitable[None]]] | None = None,
    ) -> None:
        self._events = events
        self._at_start = list(at_start)
        self._beside = dict(beside or {})
        self._reconcilers = list(reconcilers)
        self._queues: dict[str, KeyedQueue] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run them, supervised, until the context ends; what was cut off is found again later."""
        unlisten = self._events.listen(self._wake)
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "events": self._events.run,
            "pruning": self._prune,
            **self._beside,
        }
        for reconciler in self._reconcilers:
            loops[reconciler.name] = partial(self._reconcile, reconciler)
        tasks = [asyncio.create_task(supervise(name, run)) for name, run in loops.items()]
        tasks += [asyncio.create_task(_once(work)) for work in self._at_start]
        try:
            yield
        finally:
            unlisten()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _reconcile(self, reconciler: Reconciler) -> None:
        # A queue of its own for each run: what a failed run was working on is nobody's.
        queue = self._queues[reconciler.name] = KeyedQueue()
        await run_reconciler(reconciler, queue, workers=WORKERS)

    def wake(self, name: str, key: str) -> None:
        """Have the reconciler of this name look at the key. For the event loop's thread."""
        queue = self._queues.get(name)
        if queue is not None:
            queue.add(key)

    def _wake(self, event: Event, _audience: frozenset[str]) -> None:
        self.wake(event.kind, event.subject)

    async def _prune(self) -> None:
        while True:
            await asyncio.to_thread(self._events.prune)
            await asyncio.sleep(_PRUNE_EVERY_S)


async def _once(work: Callable[[], None]) -> None:
    """Do it in a thread until it succeeds; what fails is said, and nothing waits for it."""
    failures = 0
    while True:
        try:
            await asyncio.to_thread(work)
        except AtollError as error:
            failures += 1
            log.warning("%s failed (%s); it is tried again", work.__qualname__, error)
            await asyncio.sleep(back_off(failures))
        else:
            return
