"""Tables and views of SQLite database files, read with Python's own sqlite3."""

# ruff: noqa: S608  # names and values are quoted by `identifier` and `literal`

from __future__ import annotations

import itertools
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, Final
from urllib.parse import quote

from atoll.datasets.models import Location
from atoll.datasets.readers.reader import (
    HEAD,
    SAMPLE,
    SPREAD,
    Desk,
    Found,
    Reader,
    TooSlowError,
    check_columns,
    identifier,
    literal,
    spread_step,
    struct,
)
from atoll.datasets.source import Source, SourceError

_BUSY_S: Final = 5.0  # how long a lock of somebody else's is waited for
_LOOK_EVERY: Final = 100_000  # SQLite's instructions between two looks at the clock
_CHUNK: Final = 50_000  # rows that are turned into columns at once
_BUFFER: Final = 1 << 20
_LOADED: Final = "__atoll_loaded"
_DAY: Final = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"


class SqliteReader(Reader):
    """Reads a table. SQLite's types belong to values; a column's type is what its values share."""

    format: ClassVar[str] = "sqlite"

    def look(self, source: Source, location: Location, desk: Desk) -> Found:
        """Columns and types; rows are counted where the file is not too large."""
        self.check(source, location)
        whole = source.size <= desk.bounds.scan_most
        with _connected(source, desk) as database:
            table = _table(database, location, source)
            declared = _declared(database, table)
            check_columns(declared)
            some = "" if whole else f" LIMIT {desk.bounds.sample_rows}"
            counts = _counts(database, table, declared, some)
        types = {
            name: _type(kind, counts[1 + 6 * at : 7 + 6 * at])
            for at, (name, kind) in enumerate(declared.items())
        }
        return Found(types, counts[0] if whole else None, whole)

    def scan(self, source: Source, location: Location, types: Mapping[str, str], desk: Desk) -> str:
        """The table as an Arrow table that the engine knows by name."""
        import pyarrow as pa

        plain = {
            "BIGINT": pa.int64(), "DOUBLE": pa.float64(), "BOOLEAN": pa.int64(),
            "BLOB": pa.binary(),
        }  # fmt: skip
        schema = pa.schema([(name, plain.get(kind, pa.string())) for name, kind in types.items()])
        with _connected(source, desk) as database:
            table = _table(database, location, source)
            rows = database.execute(f"SELECT {_selected(types)} FROM {identifier(table)}")
            batches = []
            while chunk := rows.fetchmany(_CHUNK):
                columns = zip(*chunk, strict=True)
                arrays = [
                    pa.array(values, type=field.type)
                    for values, field in zip(columns, schema, strict=True)
                ]
                batches.append(pa.record_batch(arrays, schema=schema))
        desk.engine.register(_LOADED, pa.Table.from_batches(batches, schema=schema))
        return f"(SELECT {_cast(types)} FROM {_LOADED})"

    def sample(self, source: Source, location: Location, found: Found, desk: Desk) -> None:
        """By way of a text file: a probe has no Arrow."""
        target = desk.scratch / "rows.json"
        blobs = [kind == "BLOB" for kind in found.types.values()]
        longest = _BUFFER  # of DuckDB: it makes several that hold the longest row
        step = spread_step(found.rows or 0, desk.bounds.sample_rows)
        if found.rows is None or found.rows <= desk.bounds.sample_rows:
            step = 1
        with _connected(source, desk) as database, target.open("w", encoding="utf-8") as file:
            table = _table(database, location, source)
            rows = database.execute(f"SELECT {_selected(found.types)} FROM {identifier(table)}")
            most = desk.bounds.sample_rows if found.rows is None else None
            for number, row in enumerate(itertools.islice(rows, most)):
                if number < HEAD or number % step == 0:
                    values = [_as_json(value, blob) for value, blob in zip(row, blobs, strict=True)]
                    named = dict(zip(_numbered(found.types), values, strict=True))
                    named[SPREAD] = number % step == 0
                    longest = max(longest, file.write(json.dumps(named) + "\n"))
        texts = dict.fromkeys(_numbered(found.types), "VARCHAR") | {SPREAD: "BOOLEAN"}
        renamed = ", ".join(
            f"{number} AS {identifier(name)}"
            for number, name in zip(_numbered(found.types), found.types, strict=True)
        )
        desk.engine.execute(
            f"CREATE TABLE {SAMPLE} AS SELECT {_cast(found.types, 'unhex')}, {SPREAD} FROM"
            f" (SELECT {renamed}, {SPREAD} FROM read_json({literal(str(target))},"
            f" format='newline_delimited', columns={struct(texts)}, maximum_object_size={longest}))"
        )


@contextmanager
def _connected(source: Source, desk: Desk) -> Iterator[sqlite3.Connection]:
    """A connection that can only read. What sqlite3 raises within becomes a SourceError."""
    try:
        database = sqlite3.connect(_address(source), uri=True, timeout=_BUSY_S)
        database.text_factory = lambda content: content.decode("utf-8", "replace")
        database.execute("PRAGMA trusted_schema=OFF")
        deadline = desk.deadline
        if deadline is not None:
            database.set_progress_handler(lambda: time.monotonic() > deadline, _LOOK_EVERY)
        try:
            yield database
        finally:
            database.close()
    except sqlite3.Error as error:
        kind = getattr(error, "sqlite_errorname", "")
        if kind == "SQLITE_INTERRUPT":
            raise TooSlowError from error
        locked = kind.startswith(("SQLITE_BUSY", "SQLITE_LOCK"))
        raise SourceError(
            "locked" if locked else "refused",
            f"The database {source.path.name} refuses: {error}.",
            hint="Somebody is writing to it; it is tried again." if locked
            else "Is it a whole SQLite database? `PRAGMA integrity_check` tells.",
        ) from error  # fmt: skip


def _address(source: Source) -> str:
    """To be read only. Where nothing waits to be merged, nothing is made beside the database."""
    beside = source.real.with_name(source.real.name + "-wal")
    at_rest = not beside.exists() or beside.stat().st_size == 0
    with open(source.readable, "rb") as file:  # noqa: PTH123  # a descriptor's path
        merges = file.read(19)[18:] == b"\x02"  # the file's header says that it uses a -wal
    how = "immutable=1" if merges and at_rest else "mode=ro"
    return f"file:{quote(str(source.real))}?{how}"


def _table(database: sqlite3.Connection, location: Location, source: Source) -> str:
    """The table that is meant: the named one, or the only one."""
    found = database.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
        " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    )
    names = [str(row[0]) for row in found]
    if location.table is None and len(names) == 1:
        return names[0]
    matching = [name for name in names if name.lower() == (location.table or "").lower()]
    if matching:
        return matching[0]
    shown = ", ".join(names[:20]) or "none"
    missing = f"{source.path.name} has no table {location.table!r}."
    which = f"{source.path.name} has {len(names)} tables; one is wanted."
    raise SourceError("table", missing if location.table else which, hint=f"Name one of: {shown}.")


def _declared(database: sqlite3.Connection, table: str) -> dict[str, str]:
    rows = database.execute(f"PRAGMA table_info({identifier(table)})")
    return {str(row[1]): str(row[2]).upper() for row in rows}


def _counts(
    database: sqlite3.Connection, table: str, columns: Mapping[str, str], some: str
) -> list[int]:
    """How many rows; then for each column how many integers, 0s and 1s, reals, texts, days, blobs.

    SQLite answers at most 2,000 values a row, so wide tables are asked several times.
    """
    found: list[int] = []
    names = list(columns)
    for start in range(0, len(names), 300):
        group = names[start : start + 300]
        asked = ["count(*)", *(part for name in group for part in _kinds(identifier(name)))]
        row = database.execute(
            f"SELECT {', '.join(asked)} FROM (SELECT * FROM {identifier(table)}{some})"
        ).fetchone()
        numbers = [int(value or 0) for value in row]
        found += numbers if not found else numbers[1:]
    return found


def _kinds(column: str) -> list[str]:
    kind = f"typeof({column})"
    return [
        f"sum({kind} = 'integer')",
        f"sum({kind} = 'integer' AND {column} IN (0, 1))",
        f"sum({kind} = 'real')",
        f"sum({kind} = 'text')",
        f"sum({kind} = 'text' AND {column} GLOB '{_DAY}*')",
        f"sum({kind} = 'blob')",
    ]


def _type(declared: str, counts: Sequence[int]) -> str:
    """The DuckDB type that holds all values of a column."""
    integers, bits, reals, texts, days, blobs = counts
    if not any((integers, reals, texts, blobs)):
        return _affinity(declared)
    if blobs and not any((integers, reals, texts)):
        return "BLOB"
    if texts or blobs:
        dated = texts == days and not any((integers, reals, blobs))
        if dated and declared == "DATE":
            return "DATE"
        return (
            "TIMESTAMP" if dated and declared.startswith(("DATETIME", "TIMESTAMP")) else "VARCHAR"
        )
    if reals:
        return "DOUBLE"
    return "BOOLEAN" if declared.startswith("BOOL") and bits == integers else "BIGINT"


def _affinity(declared: str) -> str:
    """The type of a column without values, by SQLite's rules for declared types."""
    for part, type_ in (
        ("INT", "BIGINT"), ("CHAR", "VARCHAR"), ("CLOB", "VARCHAR"), ("TEXT", "VARCHAR"),
        ("BLOB", "BLOB"), ("REAL", "DOUBLE"), ("FLOA", "DOUBLE"), ("DOUB", "DOUBLE"),
        ("BOOL", "BOOLEAN"), ("DATETIME", "TIMESTAMP"), ("TIMESTAMP", "TIMESTAMP"),
        ("DATE", "DATE"), ("NUM", "DOUBLE"), ("DEC", "DOUBLE"),
    ):  # fmt: skip
        if part in declared:
            return type_
    return "VARCHAR"


def _selected(types: Mapping[str, str]) -> str:
    """The columns for SQLite's SELECT; what is mixed comes as text."""
    texts = ("VARCHAR", "DATE", "TIMESTAMP")
    return ", ".join(
        f"CAST({identifier(name)} AS TEXT)" if kind in texts else identifier(name)
        for name, kind in types.items()
    )


def _cast(types: Mapping[str, str], blob: str = "") -> str:
    """The columns for DuckDB's SELECT; a date that is none becomes missing."""
    return ", ".join(
        f"{blob}({identifier(name)}) AS {identifier(name)}" if kind == "BLOB"
        else f"TRY_CAST({identifier(name)} AS {kind}) AS {identifier(name)}"
        for name, kind in types.items()
    )  # fmt: skip


def _numbered(types: Mapping[str, str]) -> list[str]:
    """Plain names by position: names that differ in case only, or are odd, come through JSON so."""
    return [f"c{number}" for number in range(len(types))]


def _as_json(value: object, blob: bool) -> object:  # of a pair
    if blob and isinstance(value, bytes):
        return value.hex()
    return None if value is None else str(value)
