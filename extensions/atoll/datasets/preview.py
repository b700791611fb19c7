"""The prepared preview: written once by the probe, cut to so many rows and served as it lies there."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Final

from atoll.datasets.models import Column

_ROWS_MOST: Final = 4 << 20  # bytes of all rows
_TEXT_MOST: Final = 2000  # characters of a value; a cell may hold megabytes
_WIDTH_MOST: Final = 40_000  # characters of a row: the more columns, the shorter their texts
_ITEMS_MOST: Final = 50  # of a nested value
_EXACT_MOST: Final = 1 << 53  # JavaScript has no larger exact integers


def write(
    path: Path, columns: Sequence[Column], rows: Iterable[Sequence[object]], sampled: int
) -> None:
    """Write the preview: a line about the columns, then a line for each row, as many as fit."""
    most = min(_TEXT_MOST, _WIDTH_MOST // max(1, len(columns)))
    lines, room = [], _ROWS_MOST
    for row in rows:
        line = _line([_cell(value, most) for value in row]).encode()
        room -= len(line)
        if room < 0:
            break
        lines.append(line)
    head = {
        "columns": [column.model_dump(mode="json") for column in columns],
        "sampled": sampled,
        "cut": room < 0,
    }
    path.write_bytes(_line(head).encode() + b"".join(lines))


def read(path: Path, rows: int) -> bytes:
    """The `Preview` as JSON, with at most so many rows. Raises FileNotFoundError."""
    with path.open("rb") as file:
        head = file.readline().rstrip(b"\n")
        lines = [line.rstrip(b"\n") for line in itertools.islice(file, rows)]
    return head[:-1] + b',"rows":[' + b",".join(lines) + b"]}"


def as_json(value: object) -> object:  # noqa: PLR0911  # a case for each kind
    """A value as JSON has it: what JSON cannot say exactly becomes text."""
    match value:
        case None | bool():
            return value
        case int():
            return value if abs(value) <= _EXACT_MOST else str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return _short(value)
        case bytes() | bytearray() | memoryview():
            return _short(bytes(value[: _TEXT_MOST // 2]).hex())
        case datetime() | date() | time():
            return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
        case timedelta():
            return str(value)
        case list() | tuple():
            return [as_json(item) for item in value[:_ITEMS_MOST]]
        case dict():
            items = list(value.items())[:_ITEMS_MOST]
            return {str(name): as_json(item) for name, item in items}
        case _:
            return _short(str(value))


def _cell(value: object, most: int) -> object:
    """The value as JSON has it, or the beginning of its text where that is too long."""
    found = as_json(value)
    if isinstance(found, list | dict):
        return found if len(text := _json(found)) <= most else _short(text, most)
    return _short(found, most) if isinstance(found, str) else found


def _short(text: str, most: int = _TEXT_MOST) -> str:
    return text if len(text) <= most else text[:most] + "…"


def _line(content: object) -> str:
    return _json(content) + "\n"


def _json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
