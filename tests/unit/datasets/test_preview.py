"""The prepared preview says values as JSON can, and is cut without being read."""

from __future__ import annotations

import itertools
import json
import math
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from atoll.datasets import preview
from atoll.datasets.models import Column, Preview
from hypothesis import given
from hypothesis import strategies as st

COLUMNS = [Column(name="a", type="BIGINT", missing=0.5, histogram=[1, 2])]

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.dates() | st.datetimes() | st.timedeltas() | st.decimals() | st.uuids(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(rows=st.lists(st.lists(VALUES, min_size=1, max_size=1), max_size=5))
def test_any_values_come_back_as_valid_json(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[object]]
) -> None:
    path = tmp_path_factory.mktemp("preview") / "preview.json"
    preview.write(path, COLUMNS, rows, len(rows))
    found = Preview.model_validate_json(preview.read(path, 1000))
    assert found.columns == COLUMNS
    assert found.rows == [[preview.as_json(value) for value in row] for row in rows]


@pytest.mark.parametrize(("asked", "given_"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (1000, 3)])
def test_so_many_rows_are_given_as_asked_for(tmp_path: Path, asked: int, given_: int) -> None:
    path = tmp_path / "preview.json"
    preview.write(path, COLUMNS, [[1], ["two\nlines"], [3]], 7)
    found = json.loads(preview.read(path, asked))
    assert (len(found["rows"]), found["sampled"]) == (given_, 7)


@pytest.mark.parametrize("columns", [1, 60, 2000])
def test_a_preview_stays_small_and_says_so(tmp_path: Path, columns: int) -> None:
    path = tmp_path / "preview.json"
    wide = [Column(name=f"c{number}", type="VARCHAR") for number in range(columns)]
    row = ["é" * 5000, *["x" * 5000] * (columns - 1)]
    preview.write(path, wide, itertools.repeat(row, 1000), 1000)
    assert path.stat().st_size < 5 << 20
    found = Preview.model_validate_json(preview.read(path, 1000))
    assert 50 <= len(found.rows) <= 1000
    assert found.cut == (len(found.rows) < 1000)
    assert all(str(value).endswith("…") for value in found.rows[0])


def test_long_nested_values_are_kept_as_the_beginning_of_their_text(tmp_path: Path) -> None:
    path = tmp_path / "preview.json"
    preview.write(path, COLUMNS, [[["x" * 100] * 50]], 1)
    ((kept,),) = Preview.model_validate_json(preview.read(path, 1)).rows
    assert isinstance(kept, str)
    assert kept.startswith('["xxx')
    assert len(kept) == 2001


def test_so_many_rows_are_read_as_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "preview.json"
    preview.write(path, COLUMNS, [[1], [2]], 2)
    with path.open("ab") as file:  # as before there was a limit
        file.truncate(1 << 30)
    tracemalloc.start()
    assert len(json.loads(preview.read(path, 2))["rows"]) == 2
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (2**53, 2**53),
        (2**53 + 1, "9007199254740993"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (Decimal("1.10"), "1.10"),
        (date(2026, 1, 31), "2026-01-31"),
        (datetime(2026, 1, 31, 10, tzinfo=UTC), "2026-01-31 10:00:00+00:00"),
        (timedelta(hours=1), "1:00:00"),
        (b"\x00\xff", "00ff"),
        ("x" * 5000, "x" * 2000 + "…"),
        ({"a": [1, None]}, {"a": [1, None]}),
    ],
)
def test_values_are_said_so(value: object, said: object) -> None:
    assert preview.as_json(value) == said
