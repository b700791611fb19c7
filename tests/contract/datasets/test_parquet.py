"""The Parquet reader: the contract of all readers, and hive-partitioned folders."""

# ruff: noqa: S608  # no foreign text in these queries

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from atoll.datasets.models import Location, PartitionKey
from atoll.datasets.readers import Desk, Reader, format_of
from atoll.datasets.source import Source, SourceError

from .readers_suite import ROWS, TYPES, ReaderSuite

SCHEMA = pa.schema([("number", pa.int64()), ("text", pa.string()), ("real", pa.float64())])


def table(rows: Sequence[tuple[object, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * 3
    return pa.Table.from_arrays(
        [pa.array(values, kind) for values, kind in zip(columns, SCHEMA.types, strict=True)],
        schema=SCHEMA,
    )


def hive(folder: Path, rows: dict[str, Sequence[tuple[object, ...]]]) -> Path:
    root = folder / "sales"
    for below, part in rows.items():
        (root / below).mkdir(parents=True)
        pq.write_table(table(part), root / below / "part-0.parquet")
    (root / "_SUCCESS").touch()
    return root


class TestParquet(ReaderSuite):
    format = "parquet"

    def write(self, folder: Path, rows: Sequence[tuple[object, ...]]) -> Location:
        path = folder / "table.parquet"
        pq.write_table(table(rows), path)
        return Location(path=str(path))

    def damage(self, path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-10])


class TestFolderOfParquet(ReaderSuite):
    """A plain folder: several files, one after the other."""

    format = "parquet"

    def write(self, folder: Path, rows: Sequence[tuple[object, ...]]) -> Location:
        path = folder / "tables"
        path.mkdir()
        middle = len(rows) // 2
        pq.write_table(table(rows[:middle]), path / "part-0.parquet")
        pq.write_table(table(rows[middle:]), path / "part-1.parquet")
        return Location(path=str(path))

    def damage(self, path: Path) -> None:
        (path / "part-1.parquet").write_bytes(b"PAR1")

    def test_folders_named_key_value_are_columns(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        root = hive(
            folder,
            {"day=2026-01-01/shop=K%C3%B6ln": ROWS, "day=2026-01-02/shop=__HIVE_DEFAULT_PARTITION__": ROWS[:1]},
        )  # fmt: skip
        location, source = Location(path=str(root)), Source.at(root)
        found = reader.look(source, location, desk)

        assert format_of(source) == "parquet"
        assert found.types == {**TYPES, "day": "DATE", "shop": "VARCHAR"}
        assert found.rows == 4
        assert found.partitions == [
            PartitionKey(name="day", values=["2026-01-01", "2026-01-02"]),
            PartitionKey(name="shop", values=["Köln"]),
        ]
        scan = reader.scan(source, location, found.types, desk)
        days = desk.engine.execute(f"SELECT day::VARCHAR, shop, count(*) FROM {scan} GROUP BY ALL")
        assert sorted(days.fetchall()) == [("2026-01-01", "Köln", 3), ("2026-01-02", None, 1)]

    def test_a_filter_on_a_partition_opens_no_other_file(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        root = hive(folder, {"month=1": ROWS, "month=2": ROWS, "month=3": ROWS})
        location, source = Location(path=str(root)), Source.at(root)
        found = reader.look(source, location, desk)
        (root / "month=2" / "part-0.parquet").write_bytes(b"not any more")
        again = Location(path=str(root), options=found.options)
        scan = reader.scan(source, again, found.types, desk)
        counted = desk.engine.execute(f"SELECT count(*) FROM {scan} WHERE month = '3'").fetchall()
        assert counted == [(3,)]

    def test_columns_that_came_later_are_missing_before(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        root = hive(folder, {"month=1": ROWS, "month=2": ROWS})
        more = table(ROWS).append_column("later", pa.array([1, 2, 3]))
        pq.write_table(more, root / "month=2" / "part-0.parquet")
        location, source = Location(path=str(root)), Source.at(root)
        found = reader.look(source, location, desk)
        assert found.types == {**TYPES, "later": "BIGINT", "month": "BIGINT"}

    def test_a_folder_that_lies_in_a_partition_is_none_itself(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        root = hive(folder, {"month=1": ROWS, "month=2": ROWS})
        one = root / "month=1"
        found = reader.look(Source.at(one), Location(path=str(one)), desk)
        assert (found.types, found.partitions) == (TYPES, [])

    def test_a_folder_without_parquet_is_refused(
        self, reader: Reader, desk: Desk, folder: Path
    ) -> None:
        (folder / "notes.txt").write_text("nothing")
        with pytest.raises(SourceError, match="no Parquet files"):
            reader.look(Source.at(folder), Location(path=str(folder)), desk)
