"""Loading a dataset from its source into a kernel: with the caller's own rights, and only what is wanted."""

# ruff: noqa: S608  # names and values are quoted by `identifier` and `literal`

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from atoll.datasets.engine import connected
from atoll.datasets.readers import Bounds, Desk, reader_for
from atoll.datasets.readers.reader import identifier, literal
from atoll.datasets.source import Source, SourceError
from atoll.kit.errors import InvalidError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from atoll.datasets.models import Access

_UNBOUNDED: Final = 1 << 62  # what a kernel reads is its owner's own matter


def to_arrow(
    access: Access,
    *,
    columns: Sequence[str] | None = None,
    where: Mapping[str, object] | None = None,
    limit: int | None = None,
) -> pa.Table:
    """All rows as an Arrow table, read from the source.

    `columns` reads only those, in that order. `where` only rows whose columns have a value, or one
    of several, such as `{"month": [1, 2]}`; of a partitioned dataset other files are not opened.
    Raises SourceError where the source cannot be read, InvalidError for names that it lacks.
    """
    import duckdb
    import pyarrow as pa

    engine = connected()
    try:
        return to_duckdb(access, engine, columns=columns, where=where, limit=limit).to_arrow_table()
    except (duckdb.Error, pa.ArrowException) as error:
        raise _as_said(access, error) from error
    finally:
        engine.close()


def to_pandas(
    access: Access,
    *,
    columns: Sequence[str] | None = None,
    where: Mapping[str, object] | None = None,
    limit: int | None = None,
) -> pd.DataFrame:
    """The same as a DataFrame, as pandas has it: whole numbers among which some are missing become
    floats, days become points in time."""
    table = to_arrow(access, columns=columns, where=where, limit=limit)
    frame: pd.DataFrame = table.to_pandas(date_as_object=False)
    return frame


def to_duckdb(
    access: Access,
    connection: DuckDBPyConnection,
    *,
    columns: Sequence[str] | None = None,
    where: Mapping[str, object] | None = None,
    limit: int | None = None,
) -> DuckDBPyRelation:
    """The same as a relation of this connection: nothing is read before a result is asked for.

    Where the platform knows only the source's beginning, types are found out over all rows first.
    """
    import duckdb
    import pyarrow as pa

    scratch = Path(tempfile.mkdtemp(prefix="atoll-"))
    weakref.finalize(connection, shutil.rmtree, scratch, ignore_errors=True)
    desk = Desk(connection, scratch, Bounds(_UNBOUNDED, _UNBOUNDED, _UNBOUNDED))
    types = {column.name: column.type for column in access.columns}
    location, reader = access.location, reader_for(access.format)
    source = Source.at(Path(location.path))
    try:
        if not access.types_exact:
            found = reader.look(source, location, desk)
            types, location = found.types, location.model_copy(update={"options": found.options})
        table = reader.scan(source, location, types, desk)
        return connection.sql(_query(table, types, columns, where, limit))
    except (duckdb.Error, pa.ArrowException) as error:
        raise _as_said(access, error) from error


def _query(
    table: str,
    types: Mapping[str, str],
    columns: Sequence[str] | None,
    where: Mapping[str, object] | None,
    limit: int | None,
) -> str:
    wanted = list(types) if columns is None else list(columns)
    _check_names([*wanted, *(where or {})], types)
    if not wanted:
        raise InvalidError("No columns are wanted.", hint="Name some, or leave `columns` out.")
    query = f"SELECT {', '.join(map(identifier, wanted))} FROM {table}"
    if where:
        query += " WHERE " + " AND ".join(_condition(name, value) for name, value in where.items())
    return query if limit is None else f"{query} LIMIT {max(0, int(limit))}"


def _check_names(names: Iterable[str], types: Mapping[str, str]) -> None:
    for name in names:
        if name not in types:
            shown = ", ".join(list(types)[:30])
            raise InvalidError(f"There is no column {name!r}.", hint=f"Columns: {shown}.")


def _condition(name: str, value: object) -> str:
    """A column is the value, or one of them; None stands for missing."""
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes)
    values = list(value) if several else [value]  # type: ignore[call-overload]  # just tested
    column = identifier(name)
    present = [_value(one) for one in values if one is not None]
    parts = [f"{column} IN ({', '.join(present)})"] if present else []
    if any(one is None for one in values):
        parts.append(f"{column} IS NULL")
    return f"({' OR '.join(parts)})" if parts else "false"


def _value(value: object) -> str:
    """A value for SQL. Texts take the column's type, so that `"2013-01-01"` finds a date."""
    unwrapped = value.item() if hasattr(value, "item") else value  # of NumPy
    match unwrapped:
        case bool():
            return str(unwrapped).lower()
        case int() | Decimal():
            return str(unwrapped)
        case float():
            return f"{literal(repr(unwrapped))}::DOUBLE"
        case str() | date() | datetime():
            return literal(str(unwrapped))
        case _:
            raise InvalidError(
                f"A column cannot be compared with {value!r}.",
                hint="Give a number, a text, a date, or several of them.",
            )


def _as_said(access: Access, error: Exception) -> SourceError:
    said = " ".join(line.strip() for line in str(error).splitlines()[:2])
    return SourceError(
        "unreadable",
        f"{access.name} cannot be read from {access.location.path}: {said[:500]}",
        hint="If the source has changed, have the platform look again, then load it once more.",
    )
