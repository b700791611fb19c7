"""What the migrations make is what the tables say, and the API's description is whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from atoll.apps.api import create_api
from atoll.apps.service import MIGRATIONS
from atoll.checkpoints.store import CheckpointRow, HoldRow, ServerRow
from atoll.kit import db
from atoll.kit.db import Base, Database
from sqlalchemy import text

from tests.databases import DATABASES

KILLED_AT = """
import os, signal, sys
from atoll.apps.service import MIGRATIONS
from atoll.kit.db import Database
from sqlalchemy import event

database = Database(sys.argv[1])

@event.listens_for(database.engine, "after_cursor_execute")
def die(connection, cursor, statement, *_):
    if statement.strip().startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

database.upgrade(MIGRATIONS)
"""


def migrated(path: Path) -> Database:
    database = Database(DATABASES.url(path))
    database.upgrade(MIGRATIONS)
    return database


def missing(path: Path) -> list[object]:
    """What the database, migrated, still differs by from what the code uses."""
    database = migrated(path)
    with database.engine.connect() as connection:
        difference = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    database.close()
    return list(difference)


def test_the_migrations_make_just_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    assert missing(tmp_path / "atoll.sqlite") == []


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE alembic_version", "CREATE TABLE checkpoints", "CREATE TABLE jobs",
     "INSERT INTO alembic_version"],
)  # fmt: skip
def test_an_upgrade_that_is_killed_is_done_at_the_next_start(
    tmp_path: Path, statement: str
) -> None:
    path = tmp_path / "atoll.sqlite"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT, DATABASES.url(path), statement], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert missing(path) == []


def test_upgrading_twice_changes_nothing(tmp_path: Path) -> None:
    migrated(tmp_path / "atoll.sqlite").close()
    migrated(tmp_path / "atoll.sqlite").close()


def test_going_back_before_rebases_leaves_nothing_that_an_older_version_does_not_know(
    tmp_path: Path,
) -> None:
    database = migrated(tmp_path / "atoll.sqlite")
    of = {"user": "ada", "version": 1}
    with database.write() as session:
        session.add(ServerRow(id="s", name="", target="saved", status="saved", choice="last", **of))
        session.flush()
        for status in ("ready", "copying"):
            row = {"server_id": "s", "server": "", "trigger": "rebase", **of}
            session.add(CheckpointRow(id=status, status=status, **row))
        session.add(HoldRow(holder="rebase:copying", digest="sha256:1"))
        session.add(HoldRow(holder="job:1", digest="sha256:1"))
        session.flush()
        config = Config()
        config.set_main_option("script_location", str(Path(db.__file__).parent / "migrations"))
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", "\n".join(map(str, MIGRATIONS)))
        config.attributes["connection"] = session.connection()
        command.downgrade(config, "c0003")
        rows = session.execute(text('SELECT id, "trigger", status FROM checkpoints ORDER BY id'))
        assert [tuple(row) for row in rows] == [
            ("copying", "user", "failed"),
            ("ready", "user", "ready"),
        ]
        assert list(session.scalars(text("SELECT holder FROM holds"))) == ["job:1"]
    database.close()
    assert missing(tmp_path / "atoll.sqlite") == []


def test_every_route_says_what_it_answers_and_what_it_is_for() -> None:
    description = create_api().openapi()
    assert description["openapi"].startswith("3.1")
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description"), f"{method} {path} has no docstring"
            answers = operation["responses"]
            good = [answer for code, answer in answers.items() if code.startswith("2")]
            assert good, f"{method} {path} says no good answer"
            assert "204" in answers or any(answer.get("content") for answer in good)
            assert "default" in answers, f"{method} {path} says nothing of problems"
