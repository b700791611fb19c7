"""Probes: what hangs, crashes, is killed or is too much, and what is left of it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from atoll.datasets import client
from atoll.datasets.models import DatasetChange, DatasetRequest, DatasetStatus, Location
from atoll.datasets.settings import DatasetSettings
from atoll.kit.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from atoll.kit.home import Home
from atoll.kit.http import Connection

from tests.databases import variables

from .platform import Atoll, eventually

LIMIT_S = 3.0
hangs = pytest.mark.parametrize("limit_s", [LIMIT_S])
"""For what is ended at the limit; what is to be read has time, however busy the machine is."""


@pytest.fixture
def limit_s() -> float:
    return 60.0


@pytest.fixture
def settings(limit_s: float) -> DatasetSettings:
    return DatasetSettings(probe_limit_s=limit_s, retry_every_s=0.2, refresh_every_s=0.2)


def probes(home: Home) -> list[psutil.Process]:
    """The probes of this home that run."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = "atoll.datasets.probe" in process.cmdline()
            if ours and Path(process.cwd()).is_relative_to(home.datasets):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def endless(path: Path) -> Path:
    """A database that looks for its first row for ever."""
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE VIEW t AS WITH RECURSIVE n(a) AS"
            " (SELECT 1 UNION ALL SELECT a + 1 FROM n) SELECT a FROM n WHERE a < 0"
        )
    return path


def debris(home: Home) -> list[str]:
    """What lies beside the one sample of each dataset."""
    return [
        str(path.relative_to(home.datasets))
        for path in home.datasets.rglob("*")
        if path.is_file() and path.name not in ("sample.parquet", "preview.json")
    ]


@hangs
def test_a_database_that_hangs_is_ended_at_the_limit(atoll: Atoll) -> None:
    started = time.monotonic()
    found = atoll.added("endless", endless(atoll.home.data / "endless.db"))

    assert (found.status, found.reason) == (DatasetStatus.FAILED, "timeout")
    assert f"within {LIMIT_S:g} s" in (found.message or "")
    assert LIMIT_S <= time.monotonic() - started < LIMIT_S + 20  # it would go on for ever


@pytest.mark.parametrize("limit_s", [15.0])
def test_a_source_that_takes_too_long_to_read_through_is_sampled_from_its_beginning(
    atoll: Atoll,
) -> None:
    path = atoll.home.data / "long.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE VIEW t AS WITH RECURSIVE n(a) AS"
            " (SELECT 1 UNION ALL SELECT a + 1 FROM n) SELECT a FROM n"
        )
    found = atoll.added("long", path)
    assert (found.status, found.rows, found.rows_exact) == (DatasetStatus.READY, None, False)
    assert not atoll.send(client.access("long")).types_exact
    assert atoll.send(client.preview("long", rows=2)).rows == [[1], [2]]


@hangs
def test_a_preview_before_the_first_look_says_what_to_do(atoll: Atoll) -> None:
    atoll.register("endless", endless(atoll.home.data / "endless.db"))
    for call in (client.preview("endless"), client.sample("endless"), client.access("endless")):
        with pytest.raises(ConflictError, match=r"looked at for the first time.*Try again"):
            atoll.send(call)  # type: ignore[arg-type]  # calls of many types
    atoll.probed("endless")
    with pytest.raises(ConflictError, match="could never be read: The source did not answer"):
        atoll.send(client.preview("endless"))


def test_others_are_not_held_up_by_one_that_hangs(atoll: Atoll) -> None:
    atoll.register("endless", endless(atoll.home.data / "endless.db"))
    found = atoll.added("quick", atoll.write("t.csv", "a\n1\n"))
    assert found.status == DatasetStatus.READY
    assert atoll.send(client.dataset("endless")).status == DatasetStatus.PROBING


def test_a_source_that_comes_back_is_found_without_being_asked_for(atoll: Atoll) -> None:
    source = atoll.write("t.csv", "a\n1\n")
    atoll.added("t", source)
    source.rename(source.with_suffix(".away"))
    eventually(
        lambda: atoll.send(client.dataset("t")), lambda found: found.status == DatasetStatus.STALE
    )
    source.with_suffix(".away").rename(source)
    eventually(
        lambda: atoll.send(client.dataset("t")), lambda found: found.status == DatasetStatus.READY
    )


def test_a_source_that_changed_is_read_anew_without_being_asked_for(atoll: Atoll) -> None:
    source = atoll.write("t.csv", "a\n1\n")
    first = atoll.added("t", source)
    kept = eventually(
        lambda: atoll.send(client.dataset("t")), lambda found: found.probed_at != first.probed_at
    )
    assert kept.status == DatasetStatus.READY  # seen again, not probing for all to see
    source.write_text("a,b\n1,2\n")
    eventually(lambda: atoll.send(client.dataset("t")), lambda found: len(found.columns) == 2)


def test_a_dataset_removed_while_it_is_probed_leaves_nothing(atoll: Atoll) -> None:
    found = atoll.register("endless", endless(atoll.home.data / "endless.db"))
    eventually(lambda: probes(atoll.home), bool)
    atoll.send(client.remove(found.id))
    eventually(lambda: probes(atoll.home), lambda running: not running)
    eventually(lambda: list(atoll.home.datasets.iterdir()), lambda left: not left)


def test_a_probe_that_is_killed_is_told_of(atoll: Atoll) -> None:
    found = atoll.register("endless", endless(atoll.home.data / "endless.db"))
    eventually(lambda: probes(atoll.home), bool)[0].kill()
    assert atoll.probed(found).reason == "crashed"


@pytest.mark.parametrize(
    ("content", "reason", "said"),
    [
        (b"a,b\n1,\xe9\n", "encoding", "Line 2 of t.csv is not UTF-8: byte 0xE9"),
        (b"a,b\n1,2\n1,2,3\n", "ragged", "Line 3 of t.csv has 3 fields"),
        (b"", "empty", "t.csv is empty"),
    ],
)
def test_a_bad_file_is_told_of_with_what_to_do(
    atoll: Atoll, content: bytes, reason: str, said: str
) -> None:
    found = atoll.added("t", atoll.write("t.csv", content))
    assert (found.status, found.reason) == (DatasetStatus.FAILED, reason)
    assert said in (found.message or "")


def test_options_say_how_a_file_is_read(atoll: Atoll) -> None:
    path = atoll.write("t.txt", "name;n\ncafé;1,5\n".encode("latin-1"))
    found = atoll.added("t", path, options={"encoding": "latin-1", "delimiter": ";"})
    assert found.status == DatasetStatus.READY
    assert atoll.send(client.preview("t")).rows == [["café", "1,5"]]


def test_a_dataset_that_could_not_be_read_is_changed_until_it_can(atoll: Atoll) -> None:
    path = atoll.write("odd", "name;n\ncafé;1\n".encode("latin-1"))
    atoll.added("t", path.with_name("gone"))
    found = Location(path=str(path))
    wrong = atoll.probed(atoll.send(client.change("t", DatasetChange(location=found))))
    assert (wrong.status, wrong.reason) == (DatasetStatus.FAILED, "format")
    atoll.send(client.change("t", DatasetChange(format="csv")))
    wrong = atoll.probed("t")
    assert (wrong.reason, wrong.location) == ("encoding", found)
    read = Location(path="odd", options={"encoding": "latin-1", "delimiter": ";"})
    with pytest.raises(NotFoundError):
        atoll.send(client.change("t", DatasetChange(location=read)), "bob")
    with pytest.raises(ForbiddenError):
        atoll.send(client.change("t", DatasetChange(location=Location(path="/etc/passwd"))))
    with pytest.raises(InvalidError, match="excel"):
        atoll.send(client.change("t", DatasetChange(format="excel")))
    read = read.model_copy(update={"path": str(path)})
    right = atoll.probed(atoll.send(client.change("t", DatasetChange(location=read))))
    assert (right.status, right.format, right.rows) == (DatasetStatus.READY, "csv", 1)
    assert atoll.send(client.preview("t")).rows == [["café", 1]]


@hangs
def test_what_was_known_of_another_source_is_forgotten(atoll: Atoll) -> None:
    atoll.added("t", atoll.write("t.csv", "a\n1\n"))
    table = Location(path=str(endless(atoll.home.data / "endless.db")), table="t")
    changed = atoll.send(client.change("t", DatasetChange(location=table, format=None)))
    assert (changed.status, changed.format, changed.columns) == (DatasetStatus.PROBING, None, [])
    with pytest.raises(ConflictError):
        atoll.send(client.access("t"))
    assert atoll.probed("t").status == DatasetStatus.FAILED
    unchanged = atoll.send(client.change("t", DatasetChange()))
    assert unchanged.status == DatasetStatus.FAILED


def test_a_probe_ends_with_its_service_and_the_next_service_starts_anew(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    first = Service(home)
    endless(home.data / "endless.db")
    (home.data / "t.csv").write_text("a\n1\n")
    first.add("endless", home.data / "endless.db")
    first.add("t", home.data / "t.csv")
    running = eventually(lambda: probes(home), bool)
    first.kill()
    eventually(lambda: [one for one in running if one.is_running()], lambda left: not left)
    (home.data / "endless.db").unlink()

    second = Service(home)
    found = {
        name: eventually(
            lambda name=name: second.http.send(client.dataset(name)),  # type: ignore[misc]
            lambda dataset: dataset.status != DatasetStatus.PROBING,
        )
        for name in ("endless", "t")
    }
    assert (found["endless"].status, found["endless"].reason) == ("failed", "not_found")
    assert found["t"].status == DatasetStatus.READY
    assert second.http.send(client.preview("t")).rows == [[1]]
    eventually(lambda: debris(home), lambda left: not left)
    of_t = home.datasets / found["t"].id
    eventually(lambda: len(list(of_t.iterdir())), lambda number: number == 1)
    second.kill()


def test_the_service_stays_small(tmp_path: Path) -> None:
    service = Service(Home(tmp_path / "home"))
    (service.home.data / "t.csv").write_text("a\n1\n")
    service.add("t", service.home.data / "t.csv")
    eventually(
        lambda: service.http.send(client.dataset("t")),
        lambda dataset: dataset.status == DatasetStatus.READY,
    )
    mapped = Path(f"/proc/{service.process.pid}/maps").read_text()
    for library in ("_duckdb", "libarrow", "pandas"):
        assert library not in mapped
    service.kill()


class Service:
    """The service as a process, ended by nothing but kill -9."""

    def __init__(self, home: Home) -> None:
        self.home = home
        home.create()
        port = home.run / "port"
        port.unlink(missing_ok=True)
        settings = json.dumps({"probe_limit_s": 30})
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.service.datasets.service_under_test",
                home.path,
                settings,
            ],
            cwd=Path(__file__).parents[3],
            env=variables(home),
        )
        number = eventually(lambda: port.read_text() if port.exists() else "", bool)
        self.http = Connection(f"http://127.0.0.1:{number}/api/v1/", "ada")

    def add(self, name: str, path: Path) -> None:
        """Register a dataset."""
        request = DatasetRequest(name=name, location=Location(path=str(path)))
        self.http.send(client.add(request))

    def kill(self) -> None:
        """As a crash does."""
        self.http.close()
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
