"""Databases on a private PostgreSQL, whatever the other tests run on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from atoll.apps.service import MIGRATIONS
from atoll.kit.db import Database
from atoll.kit.home import Home
from sqlalchemy import text

from tests.databases import DATABASES, Server, url_of


@pytest.fixture(autouse=True, scope="package")
def _on_postgres() -> Iterator[None]:
    before, DATABASES.kind = DATABASES.kind, "postgres"
    DATABASES.begin()
    yield
    DATABASES.kind = before


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


@pytest.fixture
def url(home: Home) -> str:
    """An empty database's."""
    return url_of(home)


@pytest.fixture
def two(url: str) -> Iterator[tuple[Database, Database]]:
    """The same database as two services have it, with its tables."""
    first, second = Database(url), Database(url)
    first.upgrade(MIGRATIONS)
    yield first, second
    first.close()
    second.close()


@pytest.fixture
def somebody_waits(two: tuple[Database, Database]) -> Callable[[], bool]:
    """Whether a connection to the database waits for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    def look() -> bool:
        with two[0].read() as session:
            return bool(session.scalar(waiting))

    return look


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own, to be stopped and killed."""
    server = Server()
    yield server
    server.close()
