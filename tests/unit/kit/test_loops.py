"""Loops: work by key is done once at a time, failures are retried, a dead loop comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from atoll.kit import loops
from atoll.kit.errors import UnavailableError
from atoll.kit.loops import KeyedQueue, back_off, run_reconciler, supervise


async def test_a_key_added_twice_is_worked_on_once() -> None:
    queue = KeyedQueue()
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert [await queue.take(), await queue.take()] == ["a", "b"]


async def test_a_key_added_while_it_is_worked_on_is_done_once_more_and_never_twice_at_a_time() -> (
    None
):
    queue = KeyedQueue()
    queue.add("a")
    assert await queue.take() == "a"
    queue.add("a")
    queue.add("b")
    assert await queue.take() == "b"
    queue.done("a")
    assert await asyncio.wait_for(queue.take(), 30) == "a"


async def test_the_earlier_of_two_delays_counts() -> None:
    queue = KeyedQueue()
    queue.add_later("a", 60)
    queue.add_later("a", 0.001)
    queue.add_later("a", 30)
    assert await asyncio.wait_for(queue.take(), 30) == "a"


def test_the_back_off_doubles_up_to_a_minute() -> None:
    assert 0.4 <= back_off(1) <= 0.6
    assert 3.2 <= back_off(4) <= 4.8
    assert back_off(1000) <= 72


class Flaky:
    name = "flaky"

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.finished = asyncio.Event()

    async def pending(self) -> Iterable[str]:
        return ["a"]

    async def reconcile(self, key: str) -> float | None:
        self.calls.append(key)
        if len(self.calls) < 3:
            raise ValueError("not yet")
        self.finished.set()
        return None


async def test_a_failing_key_is_retried_until_it_succeeds() -> None:
    flaky = Flaky()
    loops_before = loops.FIRST_DELAY_S
    task = asyncio.create_task(run_reconciler(flaky, KeyedQueue(), resync_s=60))
    await asyncio.wait_for(flaky.finished.wait(), 10 * loops_before)
    task.cancel()
    assert flaky.calls == ["a", "a", "a"]


def test_a_failing_key_is_retried_when_it_is_said_to_be() -> None:
    async def delays() -> list[float]:
        queue = KeyedQueue()
        return [queue.failed("a", most_s=10) for _ in range(12)]

    assert max(asyncio.run(delays())) <= 12


async def test_a_loop_that_dies_is_started_again() -> None:
    starts = 0
    again = asyncio.Event()

    async def run() -> None:
        nonlocal starts
        starts += 1
        if starts == 2:
            again.set()
        raise RuntimeError("dead")

    task = asyncio.create_task(supervise("test", run))
    await asyncio.wait_for(again.wait(), 30)
    task.cancel()


class Blind(Flaky):
    """Cannot look for work at first; the work that it is told of goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    async def pending(self) -> Iterable[str]:
        self.looks += 1
        if self.looks < 3:
            raise UnavailableError("The database does not answer.")
        return ["found"]

    async def reconcile(self, key: str) -> float | None:
        self.calls.append(key)
        if key == "found":
            self.finished.set()
        return None


async def test_a_reconciler_that_cannot_look_for_work_goes_on_and_looks_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loops, "KNOWN_DELAY_S", 0.01)
    blind, queue = Blind(), KeyedQueue()
    queue.add("told")
    task = asyncio.create_task(run_reconciler(blind, queue, resync_s=60))
    await asyncio.wait_for(blind.finished.wait(), 30)
    task.cancel()
    assert blind.calls == ["told", "found"]


async def test_a_loop_that_lacks_a_part_is_started_again_soon_however_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loops, "KNOWN_DELAY_S", 0.01)
    starts = 0
    often = asyncio.Event()

    async def run() -> None:
        nonlocal starts
        starts += 1
        if starts == 12:  # by doubling it would be a quarter of an hour until then
            often.set()
        raise UnavailableError("The database does not answer.")

    task = asyncio.create_task(supervise("test", run))
    await asyncio.wait_for(often.wait(), 30)
    task.cancel()
