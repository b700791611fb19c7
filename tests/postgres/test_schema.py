"""The schema is brought up by whoever comes first, and waited for by the others."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from atoll.apps.service import MIGRATIONS
from atoll.kit.db import Database
from atoll.kit.errors import UnavailableError
from atoll.kit.settings import SettingsError
from sqlalchemy import text

from tests.databases import DATABASES, Server

UPGRADE = """
import sys
from atoll.apps.service import MIGRATIONS
from atoll.kit.db import Database
sys.stdin.readline()
database = Database(sys.argv[1])
database.upgrade(MIGRATIONS)
database.close()
"""


def test_four_services_that_start_at_once_make_one_schema(url: str) -> None:
    argv = [sys.executable, "-W", "error", "-c", UPGRADE, url]
    processes = [subprocess.Popen(argv, stdin=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.close()
    assert [process.wait(60) for process in processes] == [0] * 4
    database = Database(url)
    with database.read() as session:
        versions = list(session.scalars(text("SELECT version_num FROM alembic_version")))
    database.close()
    assert len(versions) == len(set(versions)) == len(MIGRATIONS)


def test_a_database_that_starts_later_is_waited_for(server: Server) -> None:
    database = Database(server.create("late"))
    server.stop()
    waiting = threading.Event()

    def upgrade() -> None:
        with pytest.raises(UnavailableError):
            database.upgrade(MIGRATIONS, patience_s=0)
        waiting.set()
        database.upgrade(MIGRATIONS)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(upgrade)
        assert waiting.wait(20)
        server.start()
        done.result(60)
    database.close()


def test_a_database_of_a_newer_version_is_left_alone_and_named(
    two: tuple[Database, Database],
) -> None:
    with two[0].write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'c9999' WHERE"
                             " version_num LIKE 'c%'"))  # fmt: skip
    with pytest.raises(SettingsError, match="of another version") as refused:
        two[1].upgrade(MIGRATIONS)
    assert refused.value.hint


def test_an_encoding_that_cannot_hold_every_text_is_refused() -> None:
    server = DATABASES.server
    with psycopg.connect(f"host={server.folder} user=atoll dbname=postgres", autocommit=True) as c:
        c.execute(
            "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'"
            " TEMPLATE template0"
        )
    database = Database(f"postgresql+psycopg://atoll@/latin?host={server.folder}")
    with pytest.raises(SettingsError, match="LATIN1"):
        database.upgrade(MIGRATIONS)
    database.close()
    server.drop("latin")


@pytest.mark.parametrize("url", ["mysql://atoll:geheim@db/atoll", "geheim"])
def test_a_url_that_is_no_database_of_ours_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Database(url)
    assert "geheim" not in str(refused.value)
