"""A database of the first release is brought up, with all that it holds."""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from atoll.apps.service import MIGRATIONS
from atoll.kit.db import Base, Database
from sqlalchemy import Connection, MetaData, Table, insert, select, update

FIRST_RELEASE: Final = {
    "checkpoints": 34, "dataset_grants": 2, "dataset_seeds": 2, "datasets": 25, "events": 6,
    "holds": 4, "job_notebooks": 2, "job_queues": 4, "job_reads": 2, "jobs": 25, "nodes": 2,
    "servers": 32,
}  # fmt: skip
"""How many columns its tables had: its migrations stay as they are, what is new comes in new ones."""

VALUES: Final = {
    bool: True,
    datetime: datetime(2026, 11, 24),
    float: 1.0,
    int: 1,
    str: "x",
    bytes: b"x",
    object: [],  # JSON
}


@pytest.fixture
def old(tmp_path: Path) -> str:
    """A database as the first release made it, with a row in every table."""
    folders = []
    for folder in MIGRATIONS:
        (first,) = folder.glob("?0001_*.py")
        folders.append(tmp_path / "first" / first.stem)
        folders[-1].mkdir(parents=True)
        shutil.copy(first, folders[-1])
    url = f"sqlite:///{tmp_path / 'old.sqlite'}"
    with closing(Database(url)) as database:
        database.upgrade(folders)
        with database.engine.begin() as connection:
            tables = reflected(connection)
            assert {table.name: len(table.columns) for table in tables} == FIRST_RELEASE
            for table in tables:  # what refers to something refers to the one row of that
                row = {one.name: VALUES[one.type.python_type] for one in table.columns}
                connection.execute(insert(table), row)
    return url


def reflected(connection: Connection) -> list[Table]:
    """The tables that are there, what is referred to first."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def shape(connection: Connection) -> dict[str, set[tuple[str, str, bool | None]]]:
    """What each table's columns are called, of what type they are, and whether they may be empty."""
    return {
        table.name: {(one.name, str(one.type), one.nullable) for one in table.columns}
        for table in reflected(connection)
    }


def test_an_old_database_becomes_as_a_new_one_and_keeps_its_rows(old: str, tmp_path: Path) -> None:
    new = f"sqlite:///{tmp_path / 'new.sqlite'}"
    with closing(Database(old)) as database, closing(Database(new)) as fresh:
        database.upgrade(MIGRATIONS)
        fresh.upgrade(MIGRATIONS)
        with database.engine.connect() as connection, fresh.engine.connect() as other:
            assert shape(connection) == shape(other)
            for table in FIRST_RELEASE:
                rows = connection.execute(select(Base.metadata.tables[table])).all()
                assert len(rows) == 1, table


@pytest.mark.parametrize(
    ("later", "owner", "found"),
    [
        pytest.param(-0.5, "", True, id="made with its seed"),
        pytest.param(3600, "", False, id="registered after that was removed"),
        pytest.param(0.5, "", False, id="registered at once after that was removed"),
        pytest.param(-3600, "", False, id="there before the platform would have made its own"),
        pytest.param(-0.5, "x", False, id="somebody's own"),
    ],
)
def test_a_dataset_that_was_made_by_an_older_version_is_known_by_the_time(
    old: str, later: float, owner: str, found: bool
) -> None:
    with closing(Database(old)) as database:
        with database.engine.begin() as connection:
            datasets = Table("datasets", MetaData(), autoload_with=connection)
            moment = VALUES[datetime] + timedelta(seconds=later)  # type: ignore[operator]
            connection.execute(update(datasets).values(owner=owner, created_at=moment))
        database.upgrade(MIGRATIONS)
        with database.engine.connect() as connection:
            seed = connection.execute(select(Base.metadata.tables["dataset_seeds"])).one()
            assert seed.dataset_id == ("x" if found else None)
