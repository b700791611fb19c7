"""Text tables: CSV and its kin, also packed (.gz, .zip) and in other encodings than UTF-8."""

# ruff: noqa: S608  # names and values are quoted by `identifier` and `literal`

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from pydantic import JsonValue

from atoll.datasets.models import Location
from atoll.datasets.readers import csv_text
from atoll.datasets.readers.csv_text import Text
from atoll.datasets.readers.reader import (
    Desk,
    Found,
    Reader,
    check_columns,
    literal,
    literals,
    struct,
)
from atoll.datasets.source import Source, SourceError

_DELIMITERS: Final = (",", ";", "\t", "|")
_MISSING: Final = ("", "NA", "N/A", "NaN", "nan", "NULL", "null")
"""What stands for a missing value unless the owner says otherwise, as in pandas and R."""

_SNIFFED_ROWS: Final = 100_000  # of a source too large to be read through


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the text is cut into rows and fields."""

    delimiter: str
    quote: str
    header: bool
    missing: tuple[str, ...]
    skip_bad_rows: bool
    date_format: str
    timestamp_format: str

    @classmethod
    def of(cls, options: Mapping[str, JsonValue], first_line: str) -> Self:
        """The dialect that options and the first line say. Raises SourceError for a wrong option."""
        delimiter = _text(options, "delimiter", "")
        quote = _text(options, "quote", '"')
        if len(delimiter) > 1 or len(quote) > 1:
            raise _wrong("delimiter" if len(delimiter) > 1 else "quote", "one character")
        missing = options.get("missing", list(_MISSING))
        if not isinstance(missing, list) or not all(isinstance(one, str) for one in missing):
            raise _wrong("missing", "a list of texts")
        return cls(
            delimiter or _delimiter(first_line),
            quote,
            _flag(options, "header", default=True),
            tuple(str(one) for one in missing),
            _flag(options, "skip_bad_rows", default=False),
            _text(options, "date_format", ""),
            _text(options, "timestamp_format", ""),
        )

    def options(self) -> dict[str, JsonValue]:
        """The dialect as options, completely."""
        return {
            "delimiter": self.delimiter,
            "quote": self.quote,
            "header": self.header,
            "missing": list(self.missing),
            "skip_bad_rows": self.skip_bad_rows,
            "date_format": self.date_format,
            "timestamp_format": self.timestamp_format,
        }

    def arguments(self) -> str:
        """The dialect as arguments of DuckDB's `read_csv` and `sniff_csv`."""
        said = {
            "delim": literal(self.delimiter),
            "quote": literal(self.quote),
            "escape": literal(self.quote),
            "header": str(self.header).lower(),
            "nullstr": literals(self.missing),
            "ignore_errors": str(self.skip_bad_rows).lower(),
            "strict_mode": "true",
            "null_padding": "false",
        }
        if self.date_format:
            said["dateformat"] = literal(self.date_format)
        if self.timestamp_format:
            said["timestampformat"] = literal(self.timestamp_format)
        return ", ".join(f"{name}={value}" for name, value in said.items())


class CsvReader(Reader):
    """Reads text tables. Types are found out over all rows where the source is not too large."""

    format: ClassVar[str] = "csv"
    options: ClassVar[frozenset[str]] = frozenset(
        {
            "delimiter",
            "quote",
            "header",
            "missing",
            "encoding",
            "member",
            "skip_bad_rows",
            "date_format",
            "timestamp_format",
        }
    )

    def look(self, source: Source, location: Location, desk: Desk) -> Found:
        """Columns and types; the rows are counted where the source is not too large."""
        import duckdb

        self.check(source, location)
        text = csv_text.prepared(source, location.options, desk.scratch, desk.bounds.disk_most)
        start = text.start()
        first_line = _first_line(start, source)
        dialect = Dialect.of(location.options, first_line)
        whole = text.size <= desk.bounds.scan_most
        try:
            types, formats = _sniffed(text, dialect, desk, whole=whole)
            if len(types) != len(_fields(start, dialect)):
                csv_text.check(text, dialect.delimiter, dialect.quote, lenient=False)
            dialect = Dialect.of({**dialect.options(), **formats}, first_line)
            check_columns(types)
            table = _table(text, dialect, types)
            # All columns are asked for: a count alone would not look into the fields.
            query = f"SELECT count(*), count(COLUMNS(*)) FROM {table}"
            rows = int(desk.engine.execute(query).fetchall()[0][0]) if whole else None
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            csv_text.check(text, dialect.delimiter, dialect.quote, lenient=dialect.skip_bad_rows)
            raise _as_said(error, source) from error
        options = {**location.options, **dialect.options(), "encoding": text.encoding}
        estimate = rows if whole else _estimated(text)
        return Found(types, estimate, whole, options=options)

    def scan(self, source: Source, location: Location, types: Mapping[str, str], desk: Desk) -> str:
        """`read_csv` with everything said, so that nothing is guessed anew."""
        text = csv_text.prepared(source, location.options, desk.scratch, desk.bounds.disk_most)
        return _table(text, Dialect.of(location.options, ""), types)


def _table(text: Text, dialect: Dialect, types: Mapping[str, str]) -> str:
    return (
        f"read_csv({literal(text.readable)}, columns={struct(types)}, auto_detect=false,"
        f" compression={literal(text.packed)}, {dialect.arguments()})"
    )


def _sniffed(
    text: Text, dialect: Dialect, desk: Desk, *, whole: bool
) -> tuple[dict[str, str], dict[str, JsonValue]]:
    """Types by column, and in which format dates are written where it is an unusual one."""
    rows = -1 if whole else _SNIFFED_ROWS
    found = desk.engine.execute(
        "SELECT Columns, DateFormat, TimestampFormat FROM sniff_csv("
        f"{literal(text.readable)}, sample_size={rows}, compression={literal(text.packed)},"
        f" {dialect.arguments()})"
    ).fetchall()
    columns, date_format, timestamp_format = found[0]
    formats: dict[str, JsonValue] = {}
    if date_format:
        formats["date_format"] = str(date_format)
    if timestamp_format:
        formats["timestamp_format"] = str(timestamp_format)
    return {column["name"]: column["type"] for column in columns}, formats


def _estimated(text: Text) -> int | None:
    """About how many rows there are, from how long the first ones are; None where it is packed."""
    if text.packed != "none":
        return None
    sample = text.start()
    lines = sample.count("\n")
    return round(text.size / (len(sample.encode()) / lines)) if lines else None


def _delimiter(first_line: str) -> str:
    counts = {delimiter: first_line.count(delimiter) for delimiter in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda delimiter: counts[delimiter])
    return best if counts[best] else ","


def _first_line(start: str, source: Source) -> str:
    first_line = next((line for line in start.splitlines() if line.strip()), "")
    if not first_line:
        raise SourceError(
            "empty", f"{source.path.name} is empty.", hint="Write the data, then look again."
        )
    if "\0" in start:
        raise SourceError(
            "not_text",
            f"{source.path.name} is not a text: it has zero bytes in it.",
            hint="Is it a CSV? UTF-16 without a mark is read with the option encoding.",
        )
    return first_line


def _fields(start: str, dialect: Dialect) -> list[str]:
    rows = csv.reader(
        io.StringIO(start), delimiter=dialect.delimiter, quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
    )  # fmt: skip
    return next((row for row in rows if row), [])


def _as_said(error: Exception, source: Source) -> SourceError:
    """What DuckDB says of the text, without its list of its own settings."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Original Line:")]
    said = " ".join(lines[:2]).removeprefix("Invalid Input Error: ")
    return SourceError(
        "malformed",
        f"{source.path.name} cannot be read as CSV: {said[:500]}",
        hint="Correct the source, or say how it is written: delimiter, quote, header, encoding.",
    )


def _text(options: Mapping[str, JsonValue], name: str, default: str) -> str:
    value = options.get(name, default)
    if not isinstance(value, str):
        raise _wrong(name, "a text")
    return value


def _flag(options: Mapping[str, JsonValue], name: str, *, default: bool) -> bool:
    value = options.get(name, default)
    if not isinstance(value, bool):
        raise _wrong(name, "true or false")
    return value


def _wrong(name: str, kind: str) -> SourceError:
    return SourceError("options", f"The option {name} must be {kind}.", hint="Correct it.")
