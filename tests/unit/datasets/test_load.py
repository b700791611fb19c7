"""Loading in a kernel: columns, filters and partitions, and what is said where it cannot be."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from atoll.datasets import load
from atoll.datasets.engine import connected
from atoll.datasets.models import Access, Column, DatasetId, Location
from atoll.datasets.readers import Bounds, Desk, format_of, reader_for
from atoll.datasets.source import Source, SourceError
from atoll.kit.errors import InvalidError


def access(path: Path, scratch: Path, scan_most: int = 1 << 30) -> Access:
    """What the platform answers for this source; above `scan_most` bytes it knows the beginning."""
    source, location = Source.at(path), Location(path=str(path))
    reader = reader_for(format_of(source))
    scratch.mkdir()
    bounds = Bounds(scan_most, 1000, 1 << 30)
    found = reader.look(source, location, Desk(connected(), scratch, bounds))
    return Access(
        id=DatasetId("ds-1"),
        name="sales",
        format=reader.format,
        location=Location(path=str(path), options=found.options),
        columns=[Column(name=name, type=kind) for name, kind in found.types.items()],
        partitions=found.partitions,
        types_exact=found.rows_exact,
    )


@pytest.fixture
def csv(tmp_path: Path) -> Access:
    path = tmp_path / "sales.csv"
    path.write_text("day,shop,sold\n2026-01-01,a,1\n2026-01-02,b,NA\n2026-01-03,o'hara,3\n")
    return access(path, tmp_path / "scratch")


@pytest.fixture
def hive(tmp_path: Path) -> Access:
    for month in (1, 2, 3):
        folder = tmp_path / "hive" / f"month={month}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"sold": [month * 10, month * 10 + 1]}), folder / "a.parquet")
    return access(tmp_path / "hive", tmp_path / "scratch")


def test_a_csv_becomes_a_data_frame_with_the_types_that_the_platform_shows(csv: Access) -> None:
    frame = load.to_pandas(csv)
    assert [str(kind) for kind in frame.dtypes] == ["datetime64[ms]", "str", "float64"]
    assert frame.sold.tolist()[::2] == [1, 3]
    assert np.isnan(frame.sold[1])
    assert frame.day[0].date() == date(2026, 1, 1)


def test_columns_come_in_the_order_asked_for(csv: Access) -> None:
    assert load.to_arrow(csv, columns=["sold", "day"]).column_names == ["sold", "day"]
    assert load.to_arrow(csv, limit=1).num_rows == 1


@pytest.mark.parametrize(
    ("where", "shops"),
    [
        ({"shop": "a"}, ["a"]),
        ({"shop": "o'hara"}, ["o'hara"]),
        ({"shop": ["a", "b"]}, ["a", "b"]),
        ({"day": "2026-01-02"}, ["b"]),
        ({"day": date(2026, 1, 2)}, ["b"]),
        ({"sold": None}, ["b"]),
        ({"sold": [None, 3]}, ["b", "o'hara"]),
        ({"sold": np.int64(3)}, ["o'hara"]),
        ({"sold": np.array([1, 3])}, ["a", "o'hara"]),
        ({"sold": 1.0, "shop": "a"}, ["a"]),
        ({"sold": []}, []),
        ({"shop": "a' OR true --"}, []),
    ],
)
def test_rows_are_chosen_by_values(csv: Access, where: dict[str, object], shops: list[str]) -> None:
    assert load.to_arrow(csv, where=where)["shop"].to_pylist() == shops


def test_a_partition_is_read_without_the_others(hive: Access) -> None:
    (Path(hive.location.path) / "month=2" / "a.parquet").write_bytes(b"damaged")
    assert load.to_pandas(hive, where={"month": [1, "3"]}).sold.tolist() == [10, 11, 30, 31]
    with pytest.raises(SourceError, match="sales cannot be read"):
        load.to_pandas(hive)


def test_names_and_values_that_cannot_be_are_refused(csv: Access) -> None:
    with pytest.raises(InvalidError, match="no column 'colour'") as refused:
        load.to_arrow(csv, columns=["colour"])
    assert "day, shop, sold" in str(refused.value.hint)
    with pytest.raises(InvalidError, match="no column 'x'"):
        load.to_arrow(csv, where={"x": 1})
    with pytest.raises(InvalidError, match="compared"):
        load.to_arrow(csv, where={"sold": object()})
    with pytest.raises(SourceError, match="sales"):
        load.to_arrow(csv, where={"day": "someday"})


LATE = [*([str(number)] * 2 for number in range(120_000)), ["A12", "1.5"]]
"""Rows whose last one is of other types than all before."""


def test_types_that_only_later_rows_tell_are_found_when_a_large_csv_is_loaded(
    tmp_path: Path,
) -> None:
    path = tmp_path / "late.csv"
    path.write_text("id,v\n" + "".join(f"{a},{b}\n" for a, b in LATE))
    known = access(path, tmp_path / "scratch", scan_most=1 << 20)
    assert [column.type for column in known.columns] == ["BIGINT", "BIGINT"]
    loaded = load.to_arrow(known)
    assert [str(field.type) for field in loaded.schema] == ["string", "double"]
    assert loaded.slice(120_000).to_pylist() == [{"id": "A12", "v": 1.5}]
    assert load.to_arrow(known, columns=["v"], where={"id": "A12"}).num_rows == 1


def test_types_that_only_later_rows_tell_are_found_when_a_large_table_is_loaded(
    tmp_path: Path,
) -> None:
    path = tmp_path / "late.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (id NUMERIC, v NUMERIC)")
        database.executemany("INSERT INTO t VALUES (?, ?)", LATE)
        database.commit()
    known = access(path, tmp_path / "scratch", scan_most=1 << 20)
    assert [column.type for column in known.columns] == ["BIGINT", "BIGINT"]
    loaded = load.to_arrow(known)
    assert loaded.slice(120_000).to_pylist() == [{"id": "A12", "v": 1.5}]


def test_a_table_whose_types_changed_since_says_to_look_again(tmp_path: Path) -> None:
    path = tmp_path / "changed.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (id)")
        database.execute("INSERT INTO t VALUES (1)")
        database.commit()
        known = access(path, tmp_path / "scratch")
        database.execute("UPDATE t SET id = 'one'")
        database.commit()
    with pytest.raises(SourceError, match="sales cannot be read") as refused:
        load.to_arrow(known)
    assert "look again" in str(refused.value.hint)


def test_a_source_that_is_away_says_that_the_sample_is_there(csv: Access) -> None:
    Path(csv.location.path).unlink()
    with pytest.raises(SourceError, match="cannot be read from here") as refused:
        load.to_pandas(csv)
    assert "sample" in str(refused.value.hint)


def test_a_job_in_a_cluster_says_what_it_may_lack(
    csv: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOLL_POD", "9f0c")
    Path(csv.location.path).unlink()
    with pytest.raises(SourceError, match="cannot be read from here") as refused:
        load.to_pandas(csv)
    assert "what groups share" in str(refused.value.hint)


def test_a_relation_of_ones_own_connection_reads_when_asked(hive: Access) -> None:
    connection = duckdb.connect()
    relation = load.to_duckdb(hive, connection, where={"month": 2})
    assert relation.aggregate("sum(sold)").fetchall() == [(41,)]


def test_nothing_is_left_in_the_temporary_folder(
    csv: Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    path = Path(csv.location.path)
    path.write_text(path.read_text(), "utf-16")
    odd = csv.model_copy(
        update={
            "location": Location(
                path=str(path), options={**csv.location.options, "encoding": "utf-16"}
            )
        }
    )
    assert load.to_arrow(odd).num_rows == 3
    assert list(temporary.iterdir()) == []
    shutil.rmtree(temporary)
