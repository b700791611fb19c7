"""Transactions: writers take turns, what goes wrong is told, bugs stay bugs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from atoll.kit import db, engines
from atoll.kit.db import Database
from atoll.kit.errors import FullError, UnavailableError
from atoll.kit.events import EventRow, record
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.databases import DATABASES

MIGRATIONS = [Path(db.__file__).parent / "migrations" / "versions"]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """On what the tests run on."""
    database = Database(DATABASES.url(tmp_path / "x.sqlite"))
    database.upgrade(MIGRATIONS)
    yield database
    database.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A SQLite file with its tables."""
    path = tmp_path / "file.sqlite"
    database = Database(f"sqlite:///{path}")
    database.upgrade(MIGRATIONS)
    database.close()
    return path


def count(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(EventRow)) or 0


def test_what_was_counted_is_still_so_when_it_is_written(database: Database) -> None:
    def write(_: int) -> None:
        with database.write() as session:
            known = session.scalar(select(func.count()).select_from(EventRow))
            record(session, "job", str(known), "changed", [])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    with database.read() as session:
        assert sorted(map(int, session.scalars(select(EventRow.subject)))) == list(range(40))


def test_listeners_hear_of_what_was_committed_alone(database: Database) -> None:
    heard: list[int] = []
    database.after_commit(lambda: heard.append(count(database)))
    with pytest.raises(RuntimeError), database.write() as session:
        record(session, "job", "j", "changed", [])
        raise RuntimeError
    with database.write() as session:
        record(session, "job", "j", "changed", [])
    assert heard == [1]


def test_a_bug_is_no_outage(database: Database) -> None:
    with pytest.raises(DBAPIError), database.read() as session:
        session.execute(text("SELECT nothing FROM nowhere"))
    with pytest.raises(IntegrityError), database.write() as session:
        session.add(EventRow(id=1, kind="job", subject="j", change="changed", audience=[]))
        session.flush()
        session.execute(text("INSERT INTO events SELECT * FROM events"))
    assert count(database) == 0


def test_a_writer_gives_up_after_a_while_where_another_program_writes(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_S", 0.2)
    database = Database(f"sqlite:///{file}")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError) as refused, database.write():
            raise AssertionError
    assert refused.value.hint
    database.close()


def test_a_full_disk_is_told_and_what_was_there_stays(file: Path) -> None:
    database = Database(f"sqlite:///{file}")
    with database.write() as session:
        record(session, "job", "j", "changed", [])
    with pytest.raises(FullError), database.write() as session:
        session.execute(text("PRAGMA max_page_count = 1"))  # no page may be added any more
        for _ in range(100):
            record(session, "job", "x" * 4000, "changed", [])
        session.flush()
    assert count(database) == 1
    database.close()
