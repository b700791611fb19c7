"""Events: every change is one row, written with the change itself, and one resumable stream of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel
from sqlalchemy import JSON, BigInteger, Integer, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from atoll.kit.db import Base, Database, Moment, now
from atoll.kit.errors import UnavailableError

Change = Literal["created", "changed", "removed"]

EVERYONE: Final = "everyone"
ADMINS: Final = "admins"
KEPT: Final = timedelta(days=7)
"""Events older than this are pruned; a stream resumed from before gets a `reset`."""

_BATCH: Final = 500
_HEARTBEAT_S: Final = 15.0  # shorter than the idle time-outs of the usual proxies (60 s)
_POLL_S: Final = 1.0  # how late a change by another replica is seen; our own wake the tail at once


class Event(BaseModel):
    """Something changed: fetch `subject` anew. Thin on purpose, so that it reveals nothing."""

    id: int
    time: datetime
    kind: str  # server, checkpoint, job, dataset
    subject: str  # the thing's id; for servers USER/NAME
    change: Change


class EventRow(Base):
    """An event and who may see it: principals such as `user:ada`, `group:x`, `everyone`."""

    __tablename__ = "events"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  # SQLAlchemy's own form

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    time: Mapped[datetime] = mapped_column(Moment, default=now)
    kind: Mapped[str]
    subject: Mapped[str]
    change: Mapped[str]
    audience: Mapped[list[str]] = mapped_column(JSON)


def record(
    session: Session, kind: str, subject: str, change: Change, audience: Sequence[str]
) -> None:
    """Record a change in the transaction that makes it; admins see every event."""
    session.add(EventRow(kind=kind, subject=subject, change=change, audience=list(audience)))


Listener = Callable[[Event, frozenset[str]], None]


class Begin(NamedTuple):
    """Where a stream begins: after this event; `reset` where there is a gap before it."""

    after: int
    reset: bool


class EventStream:
    """Tails the table and hands each event, with its audience, to listeners on the event loop.

    Ids become visible in their order, since writers take turns (`Database.write`): nothing that is
    below an id that was seen comes later.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: list[Listener] = []
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seen: int | None = None  # the id up to which the listeners were told
        self._begun = asyncio.Event()
        database.after_commit(self._woken)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call the listener for each new event; returns the function that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def run(self) -> None:
        """Tail the table until cancelled; run again, it goes on where it was."""
        self._loop = asyncio.get_running_loop()
        if self._seen is None:
            self._seen = await asyncio.to_thread(self.newest)
            self._begun.set()
        while True:
            self._wake.clear()
            for event, audience in await asyncio.to_thread(self._after, self._seen):
                self._seen = event.id
                for listener in list(self._listeners):
                    listener(event, audience)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self._wake.wait()

    async def follow(self, after: int, principals: frozenset[str]) -> AsyncIterator[Event | None]:
        """Events after the id that these principals may see; None is a heartbeat.

        Missed ones are read from the table, so a stream resumes over restarts; the first of them
        follows without a gap.
        """
        queue: asyncio.Queue[tuple[Event, frozenset[str]]] = asyncio.Queue()
        end = self.listen(lambda event, audience: queue.put_nowait((event, audience)))
        try:
            await self._begun.wait()  # listeners miss nothing of what is not in the table by now
            seen = after
            while (missed := await self._missed(seen)) != []:
                if missed is None:
                    yield None
                    await asyncio.sleep(_POLL_S)
                    continue
                for event, audience in missed:
                    seen = event.id
                    if may_see(principals, audience):
                        yield event
            while True:
                try:
                    async with asyncio.timeout(_HEARTBEAT_S):
                        event, audience = await queue.get()
                except TimeoutError:
                    yield None
                    continue
                if event.id > seen and may_see(principals, audience):
                    yield event
        finally:
            end()

    def newest(self) -> int:
        """The id of the newest event, 0 where there is none."""
        with self._database.read() as session:
            return session.scalar(select(func.max(EventRow.id))) or 0

    def begin(self, after: int | None) -> Begin:
        """Where a stream begins that was heard up to the id; with what comes next for None.

        There is a gap where events after the id were pruned already, and where the id is of
        another database: one that was there before a move, or before a backup was restored.
        """
        with self._database.read() as session:
            bounds = select(func.min(EventRow.id), func.max(EventRow.id))
            oldest, newest = session.execute(bounds).one()
        if after is None or after > (newest or 0):
            return Begin(newest or 0, reset=after is not None)
        return Begin(after, reset=oldest is not None and after < oldest - 1)

    def prune(self) -> None:
        """Remove events older than `KEPT`."""
        with self._database.write() as session:
            session.execute(delete(EventRow).where(EventRow.time < now() - KEPT))

    async def _missed(self, seen: int) -> list[tuple[Event, frozenset[str]]] | None:
        """Events after the id; None while the database is away: that is no reason to hang up."""
        try:
            return await asyncio.to_thread(self._after, seen)
        except UnavailableError:
            return None

    def _after(self, seen: int) -> list[tuple[Event, frozenset[str]]]:
        query = select(EventRow).where(EventRow.id > seen).order_by(EventRow.id).limit(_BATCH)
        with self._database.read() as session:
            return [
                (
                    Event.model_validate(row, from_attributes=True),
                    frozenset(row.audience),
                )
                for row in session.scalars(query)
            ]

    def _woken(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)


def may_see(principals: frozenset[str], audience: frozenset[str]) -> bool:
    """Whether one of these principals is among the audience; admins see everything."""
    return ADMINS in principals or EVERYONE in audience or bool(principals & audience)


def as_sse(event: Event | None) -> bytes:
    """The event in the text/event-stream format; a heartbeat is a comment."""
    if event is None:
        return b": still here\n\n"
    data = json.dumps(event.model_dump(mode="json"), separators=(",", ":"))
    return f"id: {event.id}\nevent: {event.kind}\ndata: {data}\n\n".encode()
