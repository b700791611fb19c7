"""Two services write to one database: what one decides on stays so until it is written down."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from atoll.checkpoints.models import (
    BASE,
    CheckpointStatus,
    ServerStatus,
    ServerTarget,
    StartRequest,
    Trigger,
)
from atoll.checkpoints.service import Checkpoints
from atoll.checkpoints.settings import CheckpointSettings
from atoll.checkpoints.store import CheckpointRow, HoldRow, ServerRow
from atoll.kit import engines
from atoll.kit.db import Database
from atoll.kit.errors import ConflictError, InvalidError, UnavailableError
from atoll.kit.events import Event, EventStream, record
from atoll.kit.home import Home
from atoll.kit.hub import USE, Caller
from atoll.kit.names import new_id
from sqlalchemy import func, select, text

from tests.service.checkpoints.platform import eventually
from tests.service.checkpoints.service_under_test import HubStub

Two = tuple[Database, Database]
ADA = Caller("ada", scopes=frozenset({USE}))
DIGEST = "sha256:" + "a" * 64


def test_a_writer_sees_what_the_one_before_it_wrote(
    two: Two, somebody_waits: Callable[[], bool]
) -> None:
    """Counting without a guard: each adds one to what it read."""
    first, second = two

    def add(database: Database) -> None:
        with database.write() as session:
            known = session.scalar(select(func.count()).select_from(HoldRow)) or 0
            session.add(HoldRow(holder=f"job:{known}", digest=DIGEST))

    with ThreadPoolExecutor(1) as pool:
        with first.write() as session:
            session.add(HoldRow(holder="job:0", digest=DIGEST))
            session.flush()
            other = pool.submit(add, second)
            eventually(somebody_waits, bool)
        other.result(10)
    with first.read() as session:
        assert set(session.scalars(select(HoldRow.holder))) == {"job:0", "job:1"}


def checkpoint_of(database: Database, digest: str) -> str:
    """A ready checkpoint of ada's at which no server is."""
    server = ServerRow(
        id=new_id("s"),
        user="ada",
        name="",
        target=ServerTarget.SAVED,
        status=ServerStatus.SAVED,
        choice=BASE,
    )
    row = CheckpointRow(
        id=new_id("k"),
        server_id=server.id,
        user="ada",
        server="",
        trigger=Trigger.USER,
        status=CheckpointStatus.READY,
        digest=digest,
    )
    with database.write() as session:
        session.add(server)
        session.flush()
        session.add(row)
    return row.id


@pytest.fixture
def services(two: Two, home: Home) -> tuple[Checkpoints, Checkpoints]:
    """The rules of checkpoints, as two services have them."""
    found = [Checkpoints(database, home, CheckpointSettings(), HubStub()) for database in two]
    return found[0], found[1]


def test_what_is_being_held_is_not_deleted_by_another_service(
    two: Two, services: tuple[Checkpoints, Checkpoints], somebody_waits: Callable[[], bool]
) -> None:
    here, there = services
    id_ = checkpoint_of(two[0], DIGEST)
    with ThreadPoolExecutor(1) as pool:
        with two[0].write() as session:
            here.environments.hold(session, DIGEST, "job:j-1")
            deletion = pool.submit(there.delete, ADA, id_)
            eventually(somebody_waits, bool)
        with pytest.raises(ConflictError, match="held by job:j-1"):
            deletion.result(10)


def test_what_is_being_deleted_is_not_held_by_another_service(
    two: Two, services: tuple[Checkpoints, Checkpoints], somebody_waits: Callable[[], bool]
) -> None:
    there = services[1]
    id_ = checkpoint_of(two[0], DIGEST)

    def hold() -> None:
        with two[1].write() as session:
            there.environments.hold(session, DIGEST, "job:j-1")

    with ThreadPoolExecutor(1) as pool:
        with two[0].write() as session:
            session.delete(session.get_one(CheckpointRow, id_))
            session.flush()
            holding = pool.submit(hold)
            eventually(somebody_waits, bool)
        with pytest.raises(Exception, match="is gone"):
            holding.result(10)


def test_a_start_of_a_new_server_is_the_same_for_two_services(two: Two, home: Home) -> None:
    """Both find no row of it and add one: whoever comes second finds the first's."""
    services = [Checkpoints(database, home, CheckpointSettings(), HubStub()) for database in two]
    begin = threading.Barrier(2)

    def start(service: Checkpoints, name: str) -> str:
        begin.wait(10)
        return service.servers.start("ada", name, StartRequest()).start_id

    with ThreadPoolExecutor(2) as pool:
        for number in range(20):
            name = f"server-{number}"
            asked = [pool.submit(start, service, name) for service in services]
            assert len({one.result(10) for one in asked}) == 1


async def take(stream: EventStream, most: int) -> list[Event]:
    """The first events of all, as they are told."""
    told: list[Event] = []
    async for event in stream.follow(0, frozenset({"everyone"})):
        if event is not None:
            told.append(event)
        if len(told) == most:
            break
    return told


def test_no_event_is_lost_while_many_write(two: Two) -> None:
    """Each writer takes its ids early and commits late."""
    writers, each = 8, 25
    expected = {f"{writer}-{number}" for writer in range(writers) for number in range(each)}

    def write(writer: int) -> None:
        chance = random.Random(writer)
        for number in range(each):
            with two[writer % 2].write() as session:
                record(session, "job", f"{writer}-{number}", "changed", ["everyone"])
                session.flush()
                time.sleep(chance.uniform(0, 0.004))

    async def listen() -> list[Event]:
        stream = EventStream(two[0])
        task = asyncio.create_task(stream.run())
        with ThreadPoolExecutor(writers) as pool:
            done = [pool.submit(write, writer) for writer in range(writers)]
            told = await asyncio.wait_for(take(stream, len(expected)), 60)
        assert not any(one.exception() for one in done)
        task.cancel()
        return told

    told = asyncio.run(listen())
    assert {event.subject for event in told} == expected
    ids = [event.id for event in told]
    assert ids == sorted(set(ids))


async def test_a_change_by_another_service_is_heard_within_two_seconds(two: Two) -> None:
    stream = EventStream(two[0])
    task = asyncio.create_task(stream.run())
    heard = asyncio.create_task(take(stream, 2))

    def elsewhere(subject: str) -> None:
        with two[1].write() as session:
            record(session, "job", subject, "changed", ["everyone"])

    await asyncio.to_thread(elsewhere, "j-1")
    await asyncio.to_thread(elsewhere, "j-2")
    assert [event.subject for event in await asyncio.wait_for(heard, 2)] == ["j-1", "j-2"]
    task.cancel()


def test_a_writer_that_waits_too_long_says_so_and_leaves_readers_alone(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = two
    monkeypatch.setattr(engines, "BUSY_S", 1.0)
    impatient = Database(first.engine.url.render_as_string(hide_password=False))
    with first.write() as session:
        session.add(HoldRow(holder="job:0", digest=DIGEST))
        with pytest.raises(UnavailableError) as refused, impatient.write():
            raise AssertionError
        with impatient.read() as reader:
            assert reader.scalar(text("SELECT 1")) == 1
    assert refused.value.hint
    impatient.close()


def test_a_writer_that_fell_silent_does_not_hold_up_the_others(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_IDLE_S", 1)
    silent = Database(two[0].engine.url.render_as_string(hide_password=False))
    with pytest.raises(UnavailableError), silent.write() as session:
        session.add(HoldRow(holder="job:0", digest=DIGEST))
        session.flush()
        with two[1].write() as other:  # waits until the server has ended the silent one
            other.add(HoldRow(holder="job:1", digest=DIGEST))
    with two[0].read() as reader:
        assert list(reader.scalars(select(HoldRow.holder))) == ["job:1"]
    silent.close()


def test_a_text_that_cannot_be_stored_is_the_askers_fault(two: Two) -> None:
    with pytest.raises(InvalidError), two[0].write() as session:
        session.add(HoldRow(holder="job:\0", digest=DIGEST))
    with pytest.raises(InvalidError), two[0].read() as session:
        session.scalar(select(HoldRow).where(HoldRow.holder == "\0"))
