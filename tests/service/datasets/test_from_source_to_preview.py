"""A dataset from its source to preview, sample and access."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from atoll.datasets import client, load
from atoll.datasets.models import DatasetStatus
from atoll.datasets.settings import DatasetSettings
from atoll.kit.errors import NotFoundError
from atoll.kit.home import Home

from tests.databases import DATABASES

from .platform import Atoll, eventually, serving


def test_the_platforms_flights_and_weather_are_there_for_everybody(atoll: Atoll) -> None:
    atoll.rules.seed()
    flights, weather = atoll.probed("flights"), atoll.probed("weather", who="bob")

    assert (flights.status, flights.rows, len(flights.columns)) == ("ready", 336_776, 19)
    assert (weather.status, weather.rows, len(weather.columns)) == ("ready", 26_115, 15)
    assert (flights.format, weather.format) == ("csv", "parquet")
    assert (flights.owner, flights.grants) == ("", ["everyone"])
    columns = {column.name: column for column in flights.columns}
    assert columns["dep_delay"].type == "BIGINT"
    assert columns["dep_delay"].missing == pytest.approx(0.0245, abs=0.005)
    assert (columns["year"].minimum, columns["year"].maximum) == ("2013", "2013")
    assert len(columns["dep_delay"].histogram) == 14  # bins of whole minutes
    assert len(columns["month"].histogram) == 12
    assert columns["time_hour"].type == "TIMESTAMP WITH TIME ZONE"

    preview = atoll.send(client.preview("flights", rows=3))
    assert [row[:3] for row in preview.rows] == [[2013, 1, 1]] * 3
    assert preview.rows[0][9:14] == ["UA", 1545, "N14228", "EWR", "IAH"]
    frame = load.to_pandas(atoll.send(client.access("flights")))
    assert frame.shape == (336_776, 19)
    assert frame.dep_delay.isna().sum() == 8255


def test_a_seed_that_was_removed_stays_removed(atoll: Atoll) -> None:
    atoll.rules.seed()
    atoll.send(client.remove("flights"), "admin")
    atoll.rules.seed()

    names = [found.name for found in atoll.send(client.datasets()).items]
    assert names == ["weather"]
    with pytest.raises(NotFoundError):
        atoll.send(client.dataset("flights"))


def test_the_platforms_own_are_found_again_when_the_home_has_moved(tmp_path: Path) -> None:
    before, after = Home(tmp_path / "before"), Home(tmp_path / "after")
    with serving(before, DatasetSettings()) as atoll:
        atoll.rules.seed()
        atoll.probed("flights")
        atoll.send(client.remove("weather"), "admin")
        other = atoll.write("other.csv", "a\n1\n")
        atoll.added("weather", other, who="admin", platform=True, grants=["everyone"])
    before.path.rename(after.path)
    DATABASES.move(before.path, after.path)
    with serving(after, DatasetSettings()) as atoll:
        atoll.rules.seed()
        flights = atoll.probed("flights")
        assert flights.status == DatasetStatus.READY
        assert flights.location is not None
        assert Path(flights.location.path) == after.data / "nycflights13" / "flights.csv"
        assert atoll.send(client.preview("flights", rows=1)).sampled > 0
        weather = atoll.send(client.dataset("weather")).location
        assert weather is not None
        assert weather.path == str(other)


def test_preview_and_sample_live_on_without_the_source(atoll: Atoll) -> None:
    source = atoll.write("shop.csv", "day,sold\n2026-01-01,3\n2026-01-02,\n")
    found = atoll.added("shop", source)
    assert found.status == DatasetStatus.READY
    source.unlink()

    stale = atoll.probed(atoll.send(client.probe("shop")))

    assert (stale.status, stale.reason) == (DatasetStatus.STALE, "not_found")
    assert stale.message is not None
    assert str(source) in stale.message
    assert (stale.columns, stale.rows, stale.probed_at) == (
        found.columns,
        found.rows,
        found.probed_at,
    )
    assert atoll.send(client.preview("shop")).rows == [["2026-01-01", 3], ["2026-01-02", None]]
    content = atoll.send(client.sample("shop"))
    assert content.startswith(b"PAR1")
    assert content.endswith(b"PAR1")
    (atoll.home.run / "sample.parquet").write_bytes(io.BytesIO(content).getvalue())
    kept = duckdb.sql(f"FROM '{atoll.home.run}/sample.parquet'").fetchall()
    assert [sold for _, sold in kept] == [3, None]

    source.write_text("day,sold\n2026-01-03,4\n")
    again = atoll.probed(atoll.send(client.probe("shop")))
    assert (again.status, again.rows, again.reason) == (DatasetStatus.READY, 1, None)
    kept_folders = atoll.home.datasets / found.id
    eventually(lambda: len(list(kept_folders.iterdir())), lambda number: number == 1)


def test_a_look_that_began_before_it_was_asked_for_anew_does_not_count(atoll: Atoll) -> None:
    source = atoll.write("t.csv", "a\n1\n")
    atoll.register("t", source)
    source.write_text("a,b\n1,2\n")
    found = atoll.probed(atoll.send(client.probe("t")))
    assert [column.name for column in found.columns] == ["a", "b"]


def test_what_the_platform_reads_it_reads_confined(atoll: Atoll) -> None:
    shown = atoll.added("t", atoll.write("deep/t.csv", "a\n1\n"))
    wal = atoll.home.data / "wal.db"
    with closing(sqlite3.connect(wal)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE t (a)")
        writer.execute("INSERT INTO t VALUES (7)")
        writer.commit()
        written = atoll.added("written", wal)
    rest = atoll.added("rest", wal)

    assert [one.status for one in (shown, written, rest)] == [DatasetStatus.READY] * 3
    assert [one.rows for one in (written, rest)] == [1, 1]
    assert sorted(path.name for path in atoll.home.data.iterdir()) == ["deep", "wal.db"]


def test_the_widest_table_and_the_longest_cells(atoll: Atoll) -> None:
    header = ",".join(f"c{number}" for number in range(2000))
    wide = atoll.write("wide.csv", f"{header}\n" + f"{header[2:].replace('c', '')}\n" * 300)
    long = atoll.write("long.csv", "a,b\n" + f"{'x' * 1_000_000},1\n" * 20)
    found = atoll.added("wide", wide), atoll.added("long", long)

    assert [(one.status, one.rows) for one in found] == [("ready", 300), ("ready", 20)]
    (cell, _), *_ = atoll.send(client.preview("long", rows=1)).rows
    assert cell == "x" * 2000 + "…"
    (row,) = atoll.send(client.preview("wide", rows=1)).rows
    assert row[-1] == 1999
