"""What every reader can do: look at a source, give rows for a sample, and give it all to DuckDB."""

# ruff: noqa: S608  # names and values are quoted by `identifier` and `literal`

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from pydantic import JsonValue

from atoll.datasets.models import Location, PartitionKey
from atoll.datasets.source import Source, SourceError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SAMPLE: Final = "sample"
"""The table that `Reader.sample` makes: the source's columns, and SPREAD."""

SPREAD: Final = "__atoll_spread"
"""True in rows of the sample that stand for the whole source, false in those of its beginning."""

_NUMBER: Final = "__atoll_number"

HEAD: Final = 100
"""So many first rows of the source are in every sample, as people expect of a preview."""

MOST_COLUMNS: Final = 2000
"""A table that is wider is no table for people, and DuckDB reads it with more memory than a probe has."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a look at a source may cost."""

    scan_most: int  # bytes; a larger source is not read through
    sample_rows: int
    disk_most: int  # bytes of scratch


@dataclass(frozen=True, slots=True)
class Desk:
    """What a reader works with: DuckDB and a scratch folder, both this work's own, and its bounds."""

    engine: DuckDBPyConnection
    scratch: Path
    bounds: Bounds
    # Seconds of `time.monotonic()` by which reading through must have ended; None: no matter.
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at a source found. `types` are DuckDB's, by column, in order."""

    types: dict[str, str]
    rows: int | None = None
    rows_exact: bool = True  # False: not read through, so that types are of the beginning too
    partitions: list[PartitionKey] = field(default_factory=list)
    # How to read it again in the same way: the location's options, completed.
    options: dict[str, JsonValue] = field(default_factory=dict)


class TooSlowError(Exception):
    """Reading the source through takes longer than is allowed; its beginning may do."""


class Reader(ABC):
    """Reads one format; stateless."""

    format: ClassVar[str]
    options: ClassVar[frozenset[str]] = frozenset()
    folders: ClassVar[bool] = False  # whether it reads folders of files

    def check(self, source: Source, location: Location) -> None:
        """Raise SourceError for a folder where a file is wanted, or an option that is none."""
        if source.files is not None and not self.folders:
            raise SourceError(
                "folder",
                f"{source.path} is a folder; as {self.format}, one file is read.",
                hint="Register each file as a dataset, or write them as a folder of Parquet files.",
            )
        unknown = sorted(set(location.options) - self.options)
        if unknown:
            known = ", ".join(sorted(self.options)) or "none"
            raise SourceError(
                "options",
                f"{unknown[0]!r} is no option of {self.format}.",
                hint=f"Its options: {known}.",
            )

    @abstractmethod
    def look(self, source: Source, location: Location, desk: Desk) -> Found:
        """What the source is. Raises SourceError where it cannot be read as it is."""

    @abstractmethod
    def scan(self, source: Source, location: Location, types: Mapping[str, str], desk: Desk) -> str:
        """An SQL table expression of all rows, in the source's order, with these columns and types.

        `location.options` are those of `Found`; the scratch folder must outlive the expression.
        """

    def sample(self, source: Source, location: Location, found: Found, desk: Desk) -> None:
        """Make the table SAMPLE: the first rows, and others spread evenly over the source."""
        again = location.model_copy(update={"options": found.options})
        table = self.scan(source, again, found.types, desk)
        columns = ", ".join(identifier(name) for name in found.types)
        rows = found.rows
        if rows is not None and rows <= desk.bounds.sample_rows:
            query = f"SELECT {columns}, true AS {SPREAD} FROM {table}"
        elif rows is not None and found.rows_exact and source.size <= desk.bounds.scan_most:
            step = spread_step(rows, desk.bounds.sample_rows)
            query = (
                f"SELECT {columns}, {_NUMBER} % {step} = 0 AS {SPREAD} FROM"
                f" (SELECT *, row_number() OVER () - 1 AS {_NUMBER} FROM {table})"
                f" WHERE {_NUMBER} < {HEAD} OR {_NUMBER} % {step} = 0"
            )
        else:
            query = (
                f"SELECT {columns}, true AS {SPREAD} FROM {table} LIMIT {desk.bounds.sample_rows}"
            )
        desk.engine.execute(f"CREATE TABLE {SAMPLE} AS {query}")


def spread_step(rows: int, sample_rows: int) -> int:
    """Every how many rows one is taken, so that with the first ones there are `sample_rows`."""
    return max(1, -(-rows // max(1, sample_rows - HEAD)))


def identifier(name: str) -> str:
    """A name quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A text quoted for SQL."""
    return "'" + value.replace("'", "''") + "'"


def literals(values: Sequence[str]) -> str:
    """A list of texts for SQL."""
    return "[" + ", ".join(map(literal, values)) + "]"


def struct(values: Mapping[str, str]) -> str:
    """A struct of texts for SQL, as `read_csv` takes types by column."""
    return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in values.items()) + "}"


def check_columns(types: Mapping[str, str]) -> None:
    """Raise SourceError where there are none, or more than the platform shows."""
    if not types:
        raise SourceError("empty", "The source has no columns.")
    if len(types) > MOST_COLUMNS:
        raise SourceError(
            "too_wide",
            f"The source has {len(types):,} columns; {MOST_COLUMNS:,} are the most.",
            hint="Store it in a long form: one row for each observation.",
        )
