"""The SQLite reader: the contract of all readers, and types that belong to values."""

# ruff: noqa: S608  # no foreign text in these queries

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import date, datetime
from pathlib import Path

import pytest
from atoll.datasets.models import Location
from atoll.datasets.readers import Desk, Reader
from atoll.datasets.source import Source, SourceError

from .readers_suite import ROWS, ReaderSuite


def made(path: Path, *statements: str, rows: Sequence[tuple[object, ...]] = ()) -> Path:
    with closing(sqlite3.connect(path)) as database:
        for statement in statements:
            database.execute(statement)
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            database.executemany(f"INSERT INTO t VALUES ({marks})", rows)
        database.commit()
    return path


class TestSqlite(ReaderSuite):
    format = "sqlite"

    def write(self, folder: Path, rows: Sequence[tuple[object, ...]]) -> Location:
        created = "CREATE TABLE t (number INTEGER, text TEXT, real REAL)"
        path = made(folder / "data.sqlite", created, rows=rows)
        return Location(path=str(path), table="t")

    def damage(self, path: Path) -> None:
        path.write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)

    def test_values_decide_over_what_is_declared(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        path = made(
            folder / "odd.db",
            "CREATE TABLE t (a INTEGER, b, c TEXT, d DATE, e DATETIME, f BOOLEAN, g BLOB, h DATE)",
            rows=[
                (1, 1, "x", "2026-01-31", "2026-01-31 10:20:30", 1, b"\x00\xff", "soon"),
                ("one", 2.5, None, None, None, 0, None, "2026-01-31"),
            ],
        )
        location, source = Location(path=str(path)), Source.at(path)
        found = reader.look(source, location, desk)
        assert list(found.types.values()) == [
            "VARCHAR", "DOUBLE", "VARCHAR", "DATE", "TIMESTAMP", "BOOLEAN", "BLOB", "VARCHAR",
        ]  # fmt: skip
        expected = [
            ("1", 1.0, "x", date(2026, 1, 31), datetime(2026, 1, 31, 10, 20, 30), True,
             b"\x00\xff", "soon"),
            ("one", 2.5, None, None, None, False, None, "2026-01-31"),
        ]  # fmt: skip
        scan = reader.scan(source, location, found.types, desk)
        assert desk.engine.execute(f"FROM {scan}").fetchall() == expected
        reader.sample(source, location, found, desk)
        sampled = desk.engine.execute("SELECT COLUMNS('^[a-h]$') FROM sample").fetchall()
        assert sampled == expected

    def test_which_table_is_said_where_there_are_several(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        path = made(
            folder / "two.db", "CREATE TABLE one (a)", "CREATE VIEW two AS SELECT a FROM one"
        )
        source = Source.at(path)
        with pytest.raises(SourceError, match="has 2 tables") as refused:
            reader.look(source, Location(path=str(path)), desk)
        assert "one, two" in str(refused.value.hint)
        with pytest.raises(SourceError, match="no table 'three'"):
            reader.look(source, Location(path=str(path), table="three"), desk)
        assert reader.look(source, Location(path=str(path), table="TWO"), desk).rows == 0

    def test_a_database_that_is_being_written_is_read_as_it_was(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        path = made(folder / "wal.db", "PRAGMA journal_mode=WAL", "CREATE TABLE t (a)", rows=[(1,)])
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("INSERT INTO t VALUES (2)")
            found = reader.look(Source.at(path), Location(path=str(path)), desk)
        assert found.rows == 1

    def test_a_database_that_is_locked_says_so(
        self, reader: Reader, desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("atoll.datasets.readers.sqlite._BUSY_S", 0.05)
        path = made(folder / "locked.db", "CREATE TABLE t (a)")
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("BEGIN EXCLUSIVE")
            with pytest.raises(SourceError) as refused:
                reader.look(Source.at(path), Location(path=str(path)), desk)
        assert refused.value.reason == "locked"

    def test_names_that_mean_something_to_sql(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        path = made(
            folder / "names.db",
            """CREATE TABLE "t; DROP" ("select" INTEGER, "a""b" TEXT, "c'd" TEXT, "é f" REAL)""",
            """INSERT INTO "t; DROP" VALUES (1, 'x', 'y', 0.5)""",
        )
        location, source = Location(path=str(path)), Source.at(path)
        found = reader.look(source, location, desk)
        assert list(found.types) == ["select", 'a"b', "c'd", "é f"]
        scan = reader.scan(source, location, found.types, desk)
        assert desk.engine.execute(f"FROM {scan}").fetchall() == [(1, "x", "y", 0.5)]
        reader.sample(source, location, found, desk)

    def test_a_table_of_two_thousand_columns(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        columns = ", ".join(f"c{number} INTEGER" for number in range(2000))
        path = made(
            folder / "wide.db", f"CREATE TABLE t ({columns})", "INSERT INTO t (c0) VALUES (1)"
        )
        found = reader.look(Source.at(path), Location(path=str(path)), desk)
        assert (len(found.types), found.rows) == (2000, 1)

    def test_reading_changes_nothing(self, reader: Reader, desk: Desk, folder: Path) -> None:
        location = self.write(folder, ROWS)
        before = Path(location.path).read_bytes()
        found = reader.look(Source.at(Path(location.path)), location, desk)
        reader.sample(Source.at(Path(location.path)), location, found, desk)
        assert Path(location.path).read_bytes() == before
        assert [path.name for path in folder.iterdir()] == ["data.sqlite"]

    def test_a_folder_is_refused_in_a_sentence(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        self.write(folder, ROWS)
        with pytest.raises(SourceError, match="is a folder; as sqlite") as refused:
            reader.look(Source.at(folder), Location(path=str(folder)), desk)
        assert refused.value.reason == "folder"
