"""Events: written with the change, seen only by their audience, resumed without gap or repeat."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from atoll.kit import db, events
from atoll.kit.db import Database
from atoll.kit.events import Event, EventRow, EventStream, record
from atoll.kit.loops import supervise
from sqlalchemy import delete

from tests.databases import DATABASES

ADA = frozenset({"user:ada", "everyone"})
BOB = frozenset({"user:bob", "everyone"})
ROOT = frozenset({"user:root", "admins", "everyone"})
_PATIENCE_S = 60  # a disk that is slow to sync is no failure


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(DATABASES.url(tmp_path / "x.sqlite"))
    database.upgrade([Path(db.__file__).parent / "migrations" / "versions"])
    yield database
    database.close()


@pytest.fixture
async def stream(database: Database) -> AsyncIterator[EventStream]:
    stream = EventStream(database)
    task = asyncio.create_task(stream.run())
    yield stream
    task.cancel()


def write(database: Database, subject: str, *audience: str) -> None:
    with database.write() as session:
        record(session, "job", subject, "changed", audience)


async def take(
    stream: EventStream, after: int | None, who: frozenset[str], most: int
) -> list[Event]:
    taken = []
    async for event in stream.follow(after, who):
        assert event is not None
        taken.append(event)
        if len(taken) == most:
            break
    return taken


async def test_a_stream_resumes_after_an_id_without_gap_or_repeat(
    database: Database, stream: EventStream
) -> None:
    for number in range(5):
        write(database, f"j-{number}", "user:ada")
    taken = await asyncio.wait_for(take(stream, 2, ADA, 3), _PATIENCE_S)
    assert [event.subject for event in taken] == ["j-2", "j-3", "j-4"]


async def test_events_reach_only_their_audience_and_admins(
    database: Database, stream: EventStream
) -> None:
    write(database, "hers", "user:ada")
    write(database, "his", "user:bob")
    write(database, "all", "everyone")
    assert [e.subject for e in await take(stream, 0, BOB, 2)] == ["his", "all"]
    assert [e.subject for e in await take(stream, 0, ROOT, 3)] == ["hers", "his", "all"]


async def test_a_change_reaches_a_waiting_stream_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_POLL_S", 3600)  # so that only being told of it helps
    stream = EventStream(database)
    tail = asyncio.create_task(stream.run())
    waiting = asyncio.create_task(take(stream, 0, ADA, 1))
    await asyncio.sleep(0)
    await asyncio.to_thread(write, database, "new", "user:ada")
    assert (await asyncio.wait_for(waiting, _PATIENCE_S))[0].subject == "new"
    tail.cancel()


async def test_a_stream_that_failed_and_is_started_again_loses_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = EventStream(database)
    told: asyncio.Queue[str] = asyncio.Queue()
    stream.listen(lambda event, _: told.put_nowait(event.subject))
    begun, failed = asyncio.Event(), asyncio.Event()
    loop, real = asyncio.get_running_loop(), stream._after

    def after(seen: int) -> list[tuple[Event, frozenset[str]]]:
        found = real(seen)
        if found and not failed.is_set():
            loop.call_soon_threadsafe(failed.set)
            raise sqlite3.OperationalError("database is locked")
        loop.call_soon_threadsafe(begun.set)
        return found

    monkeypatch.setattr(stream, "_after", after)
    task = asyncio.create_task(supervise("events", stream.run))
    await asyncio.wait_for(begun.wait(), _PATIENCE_S)
    await asyncio.to_thread(write, database, "first", "everyone")
    await asyncio.wait_for(failed.wait(), _PATIENCE_S)
    await asyncio.to_thread(write, database, "second", "everyone")
    found = [await asyncio.wait_for(told.get(), _PATIENCE_S) for _ in range(2)]
    task.cancel()
    assert found == ["first", "second"]


def test_a_change_that_is_rolled_back_leaves_no_event(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write() as session:
        record(session, "job", "j", "created", ["user:ada"])
        raise RuntimeError
    assert EventStream(database).newest() == 0


def test_a_stream_that_was_heard_on_another_database_begins_anew(database: Database) -> None:
    stream = EventStream(database)
    assert stream.begin(None) == (0, False)
    assert stream.begin(7) == (0, True)  # from before a move: ids begin again here
    for number in range(3):
        write(database, f"j-{number}", "everyone")
    assert stream.begin(None) == (3, False)
    assert stream.begin(2) == (2, False)
    assert stream.begin(3) == (3, False)
    assert stream.begin(7) == (3, True)


def test_a_stream_that_was_heard_before_what_is_kept_has_a_gap(database: Database) -> None:
    for number in range(3):
        write(database, f"j-{number}", "everyone")
    with database.write() as session:
        session.execute(delete(EventRow).where(EventRow.id < 3))
    stream = EventStream(database)
    assert stream.begin(1) == (1, True)
    assert stream.begin(2) == (2, False)


async def test_the_tail_ends_when_it_is_cancelled_in_the_moment_it_is_woken(
    database: Database,
) -> None:
    for moments in range(8):
        stream = EventStream(database)
        heard = asyncio.Event()
        stream.listen(lambda _event, _audience, heard=heard: heard.set())
        tail = asyncio.create_task(stream.run())
        while not heard.is_set():
            write(database, "first", "everyone")
            await asyncio.sleep(0.01)
        write(database, "news", "everyone")
        for _ in range(moments):
            await asyncio.sleep(0)
        tail.cancel()
        done, _ = await asyncio.wait([tail], timeout=_PATIENCE_S)
        assert done, f"it goes on, cancelled {moments} moments after it was woken"
