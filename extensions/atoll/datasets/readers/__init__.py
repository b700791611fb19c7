"""Readers of sources behind one interface, and the registry that loads them when they are needed."""

from __future__ import annotations

import importlib
from typing import Final, NamedTuple

from atoll.datasets.readers.reader import Bounds, Desk, Found, Reader, TooSlowError
from atoll.datasets.source import Source, SourceError
from atoll.kit.errors import InvalidError

__all__ = [
    "FORMATS",
    "Bounds",
    "Desk",
    "Found",
    "Reader",
    "TooSlowError",
    "format_of",
    "readable",
    "reader_for",
]


class _Entry(NamedTuple):
    module: str
    reader: str
    endings: tuple[str, ...]  # of file names
    magic: bytes  # what such files begin with; empty where nothing marks them


_ENTRIES: Final = {
    "parquet": _Entry("parquet", "ParquetReader", (".parquet", ".parq", ".pq"), b"PAR1"),
    "sqlite": _Entry(
        "sqlite", "SqliteReader", (".sqlite", ".sqlite3", ".db"), b"SQLite format 3\0"
    ),
    "csv": _Entry(
        "csv", "CsvReader", tuple(f".{kind}{packed}" for kind in ("csv", "tsv", "txt")
                                  for packed in ("", ".gz", ".zip")), b"",
    ),
}  # fmt: skip

FORMATS: Final = tuple(_ENTRIES)


def readable(format_: str | None) -> str | None:
    """The format that somebody says a source is in, if there is a reader for it; None: unsaid.

    Raises InvalidError.
    """
    if format_ is not None and format_ not in FORMATS:
        raise InvalidError(
            f"There is no reader for the format {format_!r}.",
            hint=f"Formats that can be read: {', '.join(FORMATS)}; leave it out to find out.",
        )
    return format_


def reader_for(format_: str) -> Reader:
    """The reader of a format. Raises SourceError, which says what to do where there is none."""
    entry = _ENTRIES.get(format_)
    if entry is None:
        raise SourceError(
            "format",
            f"There is no reader for the format {format_!r}.",
            hint=f"Formats that can be read: {', '.join(FORMATS)}.",
        )
    try:
        module = importlib.import_module(f"atoll.datasets.readers.{entry.module}")
    except ImportError as error:
        raise SourceError(
            "package",
            f"Reading {format_} needs the Python package {error.name}, which is not here.",
            hint=f"Install it: pip install {error.name}",
        ) from error
    reader: Reader = getattr(module, entry.reader)()
    return reader


def format_of(source: Source) -> str:
    """The format that a source is in, by what it begins with, then by its name."""
    if source.files is not None:
        return "parquet"
    with open(source.readable, "rb") as file:  # noqa: PTH123  # a descriptor's path
        start = file.read(16)
    for format_, entry in _ENTRIES.items():
        if entry.magic and start.startswith(entry.magic):
            return format_
    name = source.path.name.lower()
    for format_, entry in _ENTRIES.items():
        if name.endswith(entry.endings):
            return format_
    raise SourceError(
        "format",
        f"{source.path.name} does not tell by its name or beginning what format it is in.",
        hint=f"Change the dataset's format to one of {', '.join(FORMATS)}.",
    )
