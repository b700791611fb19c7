"""Signals that come when nothing else is going on."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread, get_ident, get_native_id

import pytest
from atoll.server.signals import wake_for_signals

_LATE_S = 5.0


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    handler, descriptor = signal.getsignal(signal.SIGUSR1), signal.set_wakeup_fd(-1)
    yield
    signal.signal(signal.SIGUSR1, handler)
    signal.set_wakeup_fd(descriptor)


def get_it(waits_in: Path) -> None:
    """A signal to this thread, when the other one waits for its loop."""
    until = time.monotonic() + _LATE_S / 2  # where nobody may know where it waits, it does by then
    while waits_in.read_text() not in ("ep_poll", "do_epoll_wait") and time.monotonic() < until:
        os.sched_yield()
    signal.pthread_kill(get_ident(), signal.SIGUSR1)


async def is_seen_at_once() -> bool:
    """Whether a handler runs although another thread got the signal and this one waits."""
    loop, seen = asyncio.get_running_loop(), asyncio.Event()
    signal.signal(signal.SIGUSR1, lambda *_: seen.set())
    otherwise = loop.call_later(_LATE_S, seen.set)  # wakes the loop, which has handlers run as well
    Thread(target=get_it, args=[Path(f"/proc/self/task/{get_native_id()}/wchan")]).start()
    await seen.wait()
    otherwise.cancel()
    return loop.time() < otherwise.when()


def test_a_signal_wakes_a_server_that_waits() -> None:
    async def main() -> bool:
        wake_for_signals(asyncio.get_running_loop())
        return await is_seen_at_once()

    assert asyncio.run(main())


def test_who_saw_to_it_already_goes_on() -> None:
    async def main() -> bool:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, lambda: None)
        wake_for_signals(asyncio.get_running_loop())
        return await is_seen_at_once()

    assert asyncio.run(main())
