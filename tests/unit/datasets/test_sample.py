"""What a probe keeps: a sample and statistics of columns of any type."""

# ruff: noqa: S608  # no foreign text in these queries

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from atoll.datasets import preview, sample
from atoll.datasets.engine import connected
from atoll.datasets.models import Column, Preview
from atoll.datasets.readers.reader import SAMPLE, SPREAD

VALUES = {
    "BOOLEAN": "true",
    "UTINYINT": "7",
    "HUGEINT": "170141183460469231731687303715884105727",
    "FLOAT": "'nan'::FLOAT",
    "DOUBLE": "'-inf'::DOUBLE",
    "DECIMAL(18,2)": "1.50",
    "DATE": "DATE '0044-03-15 (BC)'",
    "TIMESTAMP": "TIMESTAMP '2026-01-31 10:00:00'",
    "TIMESTAMP_NS": "'2026-01-31 10:00:00.000000001'::TIMESTAMP_NS",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ '2026-01-31 10:00:00+02'",
    "TIME": "TIME '10:00:00'",
    "INTERVAL": "INTERVAL 1 MONTH",
    "UUID": "'2f1b0d52-0000-4000-8000-000000000000'::UUID",
    "BLOB": "'\\xAA'::BLOB",
    "BIT": "'101'::BIT",
    "VARCHAR": "'é'",
    "INTEGER[]": "[1, NULL]",
    "TIMESTAMP WITH TIME ZONE[]": "[TIMESTAMPTZ '2026-01-31 10:00:00+02']",
    "STRUCT(a INTEGER, b VARCHAR)": "{'a': 1, 'b': 'x'}",
    "MAP(VARCHAR, DOUBLE)": "MAP {'x': 1.5}",
    "ENUM('low', 'high')": "'low'::ENUM('low', 'high')",
}


@pytest.mark.parametrize("kind", VALUES)
def test_values_of_any_type_are_kept_described_and_shown(kind: str, tmp_path: Path) -> None:
    engine = connected()
    engine.execute(
        f"CREATE TABLE {SAMPLE} AS SELECT {VALUES[kind]}::{kind} AS v, true AS {SPREAD}"
        f" UNION ALL SELECT NULL, true"
    )
    columns, kept = sample.store(engine, {"v": kind}, tmp_path, preview_rows=10, most_bytes=1 << 20)

    assert (kept, columns[0].missing) == (2, 0.5)
    shown = Preview.model_validate_json(preview.read(tmp_path / sample.PREVIEW, 10))
    assert shown.columns == columns
    assert shown.rows[0] != [None]
    assert shown.rows[1] == [None]
    stored = duckdb.sql(f"SELECT count(v) FROM '{tmp_path / sample.PARQUET}'").fetchall()
    assert stored == [(1,)]


def test_histograms_hold_every_finite_number_once() -> None:
    engine = connected()
    engine.execute(
        f"CREATE TABLE {SAMPLE} AS SELECT unnest([-1.7e308, 0, 1, 1.7e308, 'inf', 'nan', NULL])"
        f"::DOUBLE AS v, true AS {SPREAD}"
    )
    (column,) = sample.statistics(engine, {"v": "DOUBLE"})
    assert sum(column.histogram) == 4
    assert (column.histogram[0], column.histogram[-1]) == (1, 1)


@pytest.mark.parametrize(
    ("low", "high", "bins"),
    [(1, 12, 12), (0, 0, 1), (-3, 27, 31), (0, 59, 15), (1, 34, 7), (-(2**62), 2**62, 16)],
)
def test_bins_of_whole_numbers_hold_as_many_numbers_each(low: int, high: int, bins: int) -> None:
    engine = connected()
    step = max(1, (high - low) // 1000)
    engine.execute(
        f"CREATE TABLE {SAMPLE} AS SELECT range AS v, true AS {SPREAD}"
        f" FROM range({low}, {high + 1}, {step})"
    )
    (column,) = sample.statistics(engine, {"v": "BIGINT"})
    assert len(column.histogram) == bins
    assert min(column.histogram) > 0.8 * max(column.histogram) - 1


def test_rows_of_the_beginning_do_not_count_twice() -> None:
    engine = connected()
    engine.execute(
        f"CREATE TABLE {SAMPLE} AS SELECT 1 AS v, false AS {SPREAD} UNION ALL SELECT NULL, true"
    )
    assert sample.statistics(engine, {"v": "INTEGER"}) == [
        Column(name="v", type="INTEGER", missing=1)
    ]


def test_a_sample_of_long_rows_has_fewer_of_them(tmp_path: Path) -> None:
    engine = connected()
    engine.execute(
        f"CREATE TABLE {SAMPLE} AS SELECT string_agg(md5((range * 1000 + n)::VARCHAR), '') AS v,"
        f" true AS {SPREAD} FROM range(200), (SELECT unnest(range(300)) AS n) GROUP BY range"
    )
    columns, kept = sample.store(
        engine, {"v": "VARCHAR"}, tmp_path, preview_rows=50, most_bytes=100_000
    )
    assert 1 <= kept < 50
    assert (tmp_path / sample.PARQUET).stat().st_size <= 100_000
    shown = json.loads(preview.read(tmp_path / sample.PREVIEW, 1000))
    assert (len(shown["rows"]), shown["sampled"]) == (kept, kept)
    assert len(columns[0].maximum or "") == 100
