"""What a start tells, to however many watch it and whenever they come."""

from __future__ import annotations

import asyncio

from atoll.hub.progress import Progress


async def _messages(progress: Progress) -> list[str]:
    return [told["message"] async for told in progress.follow()]


async def test_whoever_comes_late_gets_everything_from_the_beginning() -> None:
    progress = Progress()
    progress.tell(1, "saving")
    early = asyncio.create_task(_messages(progress))
    await asyncio.sleep(0)
    progress.tell(2, "starting")
    progress.end()
    assert await early == await _messages(progress) == ["saving", "starting"]


async def test_the_same_message_is_told_once_in_a_row() -> None:
    progress = Progress()
    for message in ("a", "a", "b", "a"):
        progress.tell(1, message)
    progress.end()
    assert await _messages(progress) == ["a", "b", "a"]


async def test_each_step_has_its_time_and_is_escaped() -> None:
    clock = iter([100.0, 102.5])
    progress = Progress(lambda: next(clock))
    progress.tell(1, "<b>")
    progress.end()
    shown = [told["html_message"] async for told in progress.follow()]
    assert shown == ['<span class="atoll-when">2.5 s</span> &lt;b&gt;']
