"""What a start tells those who watch: every message since it began, to any number of watchers."""

from __future__ import annotations

import asyncio
import html
import time
from collections.abc import AsyncIterator, Callable
from typing import TypedDict


class Told(TypedDict):
    """One event of JupyterHub's progress stream."""

    progress: int
    message: str
    html_message: str


class Progress:
    """The steps of one start, each with the seconds since the click."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._told: list[Told] = []
        self._more = asyncio.Event()
        self._ended = False

    def tell(self, percent: int, message: str) -> None:
        """Tell the next step, unless it is what was told last."""
        if self._ended or (self._told and self._told[-1]["message"] == message):
            return
        seconds = f"{self._clock() - self._began:.1f} s"
        shown = f'<span class="atoll-when">{seconds}</span> {html.escape(message)}'
        self._told.append({"progress": percent, "message": message, "html_message": shown})
        self._wake()

    def end(self) -> None:
        """Nothing more will be told."""
        self._ended = True
        self._wake()

    async def follow(self) -> AsyncIterator[Told]:
        """Everything told so far, then the rest as it is told."""
        seen = 0
        while True:
            more = self._more
            for told in self._told[seen:]:
                yield told
            seen = len(self._told)
            if self._ended:
                return
            if self._more is more:
                await more.wait()

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()
