"""One stream of events from the service for the whole server, given to every tab that listens."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, Literal, TypedDict

import httpx
from pydantic import ValidationError

from atoll.kit.errors import AtollError, Problem, UnavailableError, from_problem
from atoll.server.platform import Platform, absent, away

log = logging.getLogger(__name__)

_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 15.0  # how long a platform that is back may go unnoticed
_SILENCE_S: Final = 45.0  # three missed heartbeats


class State(TypedDict):
    """Tells a tab whether the platform is there, and if not, what happened."""

    type: Literal["connected", "disconnected"]
    problem: dict[str, object] | None


Send = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a text/event-stream: its name, its data, and the last id seen."""

    name: str
    data: str
    id: str | None


class Feed:
    """Tabs `join`; while there is one, the service's stream is followed, over all interruptions."""

    def __init__(
        self,
        platform: Platform,
        client: httpx.AsyncClient,
        *,
        jitter: Callable[[], float] = lambda: random.uniform(0.8, 1.2),  # noqa: S311  # no secret
    ) -> None:
        self._platform = platform
        self._client = client
        self._jitter = jitter
        self._tabs: set[Send] = set()
        self._task: asyncio.Task[None] | None = None
        self._state: State | None = None
        self._last_id: str | None = None

    def join(self, send: Send) -> Callable[[], None]:
        """Give the tab the state at once if it is known, then all that comes; returns `leave`."""
        self._tabs.add(send)
        if self._state is not None:
            send(json.dumps(self._state))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        return lambda: self._leave(send)

    def _leave(self, send: Send) -> None:
        self._tabs.discard(send)
        if not self._tabs and self._task is not None:
            self._task.cancel()
            # Who joins next loads everything anew, so nothing is resumed.
            self._task = self._state = self._last_id = None

    async def _run(self) -> None:
        delay = _FIRST_DELAY_S
        while True:
            try:
                async for message in self._messages():
                    delay = _FIRST_DELAY_S
                    self._pass_on(message)
                problem: AtollError = UnavailableError("The platform ended the stream of events.")
            except httpx.HTTPError as error:
                log.debug("the stream of events broke off: %r", error)
                problem = away()
            except AtollError as error:
                problem = error
            except ValueError as error:
                log.warning("the platform sent an event that cannot be read: %s", error)
                problem = UnavailableError("The platform sent an event that cannot be read.")
            self._say("disconnected", problem)
            await asyncio.sleep(delay * self._jitter())
            delay = min(delay * 2, _LONGEST_DELAY_S)

    async def _messages(self) -> AsyncIterator[Message]:
        if not self._platform.present:
            raise absent()
        headers = {"Accept": "text/event-stream"}
        if self._last_id is not None:
            headers["Last-Event-ID"] = self._last_id
        async with self._client.stream(
            "GET",
            self._platform.address("events"),
            headers=headers,
            timeout=httpx.Timeout(_SILENCE_S, connect=5.0),
        ) as answer:
            if answer.status_code != httpx.codes.OK:
                raise _refusal(answer.status_code, await answer.aread())
            self._say("connected")
            async for message in parsed(answer.aiter_lines()):
                yield message

    def _pass_on(self, message: Message) -> None:
        if message.name == "reset":
            self._last_id = None
            self._send({"type": "reset"})
            return
        event = json.loads(message.data)
        self._last_id = message.id
        self._send({"type": "event", "event": event})

    def _say(
        self, state: Literal["connected", "disconnected"], error: AtollError | None = None
    ) -> None:
        problem = error.problem().model_dump() if error is not None else None
        self._state = State(type=state, problem=problem)
        self._send(self._state)

    def _send(self, message: object) -> None:
        text = json.dumps(message)
        for send in list(self._tabs):
            send(text)


async def parsed(lines: AsyncIterator[str]) -> AsyncIterator[Message]:
    """The messages of a text/event-stream (comments are heartbeats and no messages)."""
    name, last_id = "message", None
    data: list[str] = []
    async for line in lines:
        if not line:
            if data:
                yield Message(name, "\n".join(data), last_id)
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id" and value.isdecimal():
            last_id = value


def _refusal(status: int, body: bytes) -> AtollError:
    try:
        return from_problem(Problem.model_validate_json(body))
    except ValidationError:
        return UnavailableError(f"The platform answered {status} instead of its events.")
