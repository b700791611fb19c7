"""What a probe keeps of a source: the sample as Parquet, what it says of each column, the preview."""

# ruff: noqa: S608  # names and values are quoted by `identifier` and `literal`

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from atoll.datasets import preview
from atoll.datasets.models import Column
from atoll.datasets.readers.reader import SAMPLE, SPREAD, identifier, literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PARQUET: Final = "sample.parquet"
PREVIEW: Final = "preview.json"

_BINS: Final = 16  # as many bars as a panel of 320 px has room for
_VALUES: Final = 32  # whole numbers so near to each other get a bin each: days of a month, hours
_TEXT_MOST: Final = 100  # characters of a minimum or maximum
_WHOLE: Final = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT",
                 "UINTEGER", "UBIGINT", "UHUGEINT")  # fmt: skip
_NUMBERS: Final = (*_WHOLE, "FLOAT", "DOUBLE", "DECIMAL")
_ORDERED: Final = (*_NUMBERS, "VARCHAR", "DATE", "TIME", "TIMESTAMP", "INTERVAL", "UUID", "BOOLEAN")
_AS_THEY_ARE: Final = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT",
                       "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE", "BOOLEAN", "VARCHAR", "BLOB")  # fmt: skip
_AT_ONCE: Final = 10  # columns asked about in one query: more take gigabytes of address space


def store(
    engine: DuckDBPyConnection,
    types: Mapping[str, str],
    folder: Path,
    *,
    preview_rows: int,
    most_bytes: int,
) -> tuple[list[Column], int]:
    """Write sample and preview into the folder; the columns with their statistics, and the rows kept."""
    columns = statistics(engine, types)
    kept = _write_parquet(engine, types, folder / PARQUET, most_bytes)
    shown = ", ".join(_shown(name, kind) for name, kind in types.items())
    rows = engine.execute(
        f"SELECT {shown} FROM {SAMPLE} LIMIT {min(kept, preview_rows)}"
    ).fetchall()
    preview.write(folder / PREVIEW, columns, rows, kept)
    return columns, kept


def statistics(engine: DuckDBPyConnection, types: Mapping[str, str]) -> list[Column]:
    """What the sample says of each column, in order; of the rows that stand for the whole source."""
    columns: list[Column] = []
    names = list(types)
    for start in range(0, len(names), _AT_ONCE):
        columns += _described(engine, {n: types[n] for n in names[start : start + _AT_ONCE]})
    return columns


def _described(engine: DuckDBPyConnection, types: Mapping[str, str]) -> list[Column]:
    asked = ", ".join(part for name, kind in types.items() for part in _asked(name, kind))
    row = engine.execute(f"SELECT count(*), {asked} FROM {SAMPLE} WHERE {SPREAD}").fetchall()[0]
    total, answers = row[0], iter(row[1:])
    columns = []
    for name, kind in types.items():
        present, minimum, maximum, low, high = (next(answers) for _ in range(5))
        columns.append(
            Column(
                name=name,
                type=kind,
                missing=None if total == 0 else 1 - present / total,
                minimum=minimum,
                maximum=maximum,
                histogram=[] if low is None else _histogram(engine, name, *_bins(kind, low, high)),
            )
        )
    return columns


def _asked(name: str, kind: str) -> list[str]:
    """Five expressions: values present; smallest and largest as text; the same as finite numbers."""
    column = identifier(name)
    ordered = [f"NULL AS {end}" for end in ("low", "high")]
    if kind.startswith(_ORDERED) and "[" not in kind:
        ordered = [f"left({end}({column})::VARCHAR, {_TEXT_MOST})" for end in ("min", "max")]
    numbers = ["NULL", "NULL"]
    if _is_number(kind):
        finite = f"{column}::DOUBLE"
        numbers = [f"{end}({finite}) FILTER (isfinite({finite}))" for end in ("min", "max")]
    return [f"count({column})", *ordered, *numbers]


def _bins(kind: str, low: float, high: float) -> tuple[float, float, int]:
    """Where the bins begin, how wide each is, and how many: of whole width for whole numbers."""
    if not kind.startswith(_WHOLE):
        width = high / _BINS - low / _BINS  # of the quotients: the difference itself may overflow
        return low, width, _BINS if width else 1
    span = int(high) - int(low) + 1
    if span <= _VALUES:
        return low, 1.0, span
    least = -(-span // _BINS)
    # The last bin is not full unless the width divides the span: the fullest of a few is taken.
    whole = min(
        range(least, least + max(1, min(least, _BINS))), key=lambda width: -span % width / width
    )
    return low, float(whole), -(-span // whole)


def _histogram(
    engine: DuckDBPyConnection, name: str, low: float, width: float, bins: int
) -> list[int]:
    """Counts in so many bins of this width."""
    column = f"{identifier(name)}::DOUBLE"
    place = f"least({bins - 1}, floor(({column} - {low!r}) / {width!r}))" if bins > 1 else "0"
    found = engine.execute(
        f"SELECT {place}::INTEGER AS bin, count(*) FROM {SAMPLE}"
        f" WHERE {SPREAD} AND isfinite({column}) GROUP BY bin"
    ).fetchall()
    counts = [0] * bins
    for bin_, count in found:
        counts[bin_] = count
    return counts


def _write_parquet(
    engine: DuckDBPyConnection, types: Mapping[str, str], path: Path, most_bytes: int
) -> int:
    """Write the sample; with fewer rows where it would be too large. The number of rows written."""
    columns = ", ".join(map(identifier, types))
    rows = int(engine.execute(f"SELECT count(*) FROM {SAMPLE}").fetchall()[0][0])
    while True:
        engine.execute(
            f"COPY (SELECT {columns} FROM {SAMPLE} LIMIT {rows}) TO {literal(str(path))}"
            " (FORMAT parquet, COMPRESSION zstd)"
        )
        size = path.stat().st_size
        if size <= most_bytes or rows <= 1:
            return rows
        rows = max(1, min(rows // 2, rows * most_bytes // size))


def _shown(name: str, kind: str) -> str:
    """A column for the preview: text where Python has no such value, or only some of them."""
    column = identifier(name)
    nested = "[" in kind or kind.startswith(("STRUCT", "MAP", "UNION"))
    plain = nested and "TIME ZONE" not in kind  # Python's values of those need a package more
    return column if plain or kind in _AS_THEY_ARE else f"{column}::VARCHAR AS {column}"


def _is_number(kind: str) -> bool:
    return kind.startswith(_NUMBERS) and "[" not in kind
