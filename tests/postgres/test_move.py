"""An installation that grew out of SQLite takes its state along."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from atoll.apps.move_database import move
from atoll.apps.service import MIGRATIONS
from atoll.datasets import client as datasets
from atoll.datasets.models import Dataset
from atoll.kit.db import Base, Database
from atoll.kit.errors import ConflictError
from atoll.kit.events import EventRow
from atoll.kit.home import Home
from atoll.kit.http import Connection
from sqlalchemy import select

from tests.databases import DATABASES, VARIABLE
from tests.service.nodes.cluster import Cluster
from tests.service.whole import whole_service


def rows(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Everything that a database holds, but for events."""
    database = Database(url)
    database.upgrade(MIGRATIONS)
    with database.read() as session:
        found = {
            table.name: sorted((tuple(row) for row in session.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
            if table.name != EventRow.__tablename__
        }
    database.close()
    return found


@pytest.fixture
def lived_in(home: Home, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a SQLite file in the home, with a saved server and datasets in it."""
    url = f"sqlite:///{home.service / 'atoll.sqlite'}"
    with monkeypatch.context() as patched:
        patched.setenv(VARIABLE, url)
        with whole_service(home) as address:
            cluster = Cluster(home, f"{address}/api/v1/")
            cluster.start()
            cluster.end()
            seeds(cluster.url)
            cluster.close()
    return url


def seeds(url: str) -> list[Dataset]:
    """The platform's own datasets, once they are there."""
    connection = Connection(url, "ada")
    while len(found := connection.send(datasets.datasets()).items) < 2:
        continue
    connection.close()
    return found


def test_everything_is_there_after_the_move_and_the_service_goes_on(
    home: Home, lived_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = DATABASES.server.create("moved")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "atoll.apps.move_database"],
        env={**os.environ, "ATOLL_HOME": str(home.path), VARIABLE: target},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "rows were copied" in done.stdout + done.stderr
    assert rows(target) == rows(lived_in)
    assert any(rows(target).values())

    monkeypatch.setenv(VARIABLE, target)
    with whole_service(home) as address:
        assert {one.name for one in seeds(f"{address}/api/v1/")} == {"flights", "weather"}
    DATABASES.server.drop("moved")


def test_a_database_that_is_in_use_is_not_written_over(lived_in: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.sqlite'}"
    move(lived_in, other)
    before = rows(other)
    with pytest.raises(ConflictError, match="is not empty"):
        move(lived_in, other)
    assert rows(other) == before
