"""Parquet: a file, or a folder of files, whose subfolders `key=value` are partition columns."""

# ruff: noqa: S608  # names and values are quoted by `identifier` and `literal`

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import unquote

from atoll.datasets.models import Location, PartitionKey
from atoll.datasets.readers.reader import (
    Desk,
    Found,
    Reader,
    check_columns,
    identifier,
    literal,
    literals,
    struct,
)
from atoll.datasets.source import Source, SourceError

_ENDINGS: Final = (".parquet", ".parq", ".pq")
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"
_VALUES_MOST: Final = 1000  # of a partition key that are listed
_FILES_MOST: Final = 100_000
_ALIKE: Final = "alike"
"""Found out: all files have the same columns, so that those that are not wanted stay closed."""

_COMPARED_MOST: Final = 1000  # files whose schemas are brought together; of more, the first counts


class ParquetReader(Reader):
    """Reads Parquet. Counting rows reads the files' footers only."""

    format: ClassVar[str] = "parquet"
    folders: ClassVar[bool] = True

    def look(self, source: Source, location: Location, desk: Desk) -> Found:
        """Columns, types, partitions and the number of rows."""
        import duckdb

        self.check(source, location)
        files = _files(source)
        partitions = _partitions(source, files)
        keys = [key.name for key in partitions]
        try:
            described = desk.engine.execute(f"DESCRIBE SELECT * FROM {_read(source, files, keys)}")
            every = {str(name): str(type_) for name, type_, *_ in described.fetchall()}
            # Folders above the source may look like partitions too; they are none of its own.
            strange = _keys(source.real.parts) - set(keys) if source.files is not None else set()
            types = {name: type_ for name, type_ in every.items() if name not in strange}
            check_columns(types)
            counted = desk.engine.execute(
                f"SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata({_list(source, files)})"
            )
            rows = int(counted.fetchall()[0][0] or 0)
            alike = _alike(source, files, desk)
        except duckdb.InterruptException:
            raise
        except duckdb.Error as error:
            raise _unreadable(source, error) from error
        return Found(types, rows, partitions=partitions, options={_ALIKE: alike})

    def scan(self, source: Source, location: Location, types: Mapping[str, str], desk: Desk) -> str:
        """`read_parquet` of the files in order; filters on partition keys skip files."""
        files = _files(source)
        keys = [key for key in _keys_below(source, files) if key in types]
        columns = ", ".join(map(identifier, types))
        read = _read(
            source,
            files,
            keys,
            {key: types[key] for key in keys},
            alike=location.options.get(_ALIKE) is True,
        )
        return f"(SELECT {columns} FROM {read})"


def _read(
    source: Source,
    files: Sequence[Path],
    keys: Sequence[str],
    types: Mapping[str, str] | None = None,
    *,
    alike: bool = False,
) -> str:
    arguments = [_list(source, files), f"hive_partitioning={str(bool(keys)).lower()}"]
    if types:
        arguments.append(f"hive_types={struct(types)}")
    if not alike and 1 < len(files) <= _COMPARED_MOST:
        arguments.append("union_by_name=true")
    return f"read_parquet({', '.join(arguments)})"


def _alike(source: Source, files: Sequence[Path], desk: Desk) -> bool:
    if len(files) > _COMPARED_MOST:
        return True  # by decree: see there
    kinds = desk.engine.execute(
        "SELECT count(DISTINCT columns) FROM (SELECT list((name, type, logical_type)) AS columns"
        f" FROM parquet_schema({_list(source, files)}) GROUP BY file_name)"
    ).fetchall()
    return bool(kinds[0][0] <= 1)


def _list(source: Source, files: Sequence[Path]) -> str:
    if source.files is None:
        return literal(_plain(source.readable))
    return literals([_plain(str(file)) for file in files])


def _plain(path: str) -> str:
    """The path with those characters bracketed in which DuckDB would see a pattern."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in path)


def _files(source: Source) -> list[Path]:
    """The folder's Parquet files; what begins with `.` or `_` are marks of the writers."""
    if source.files is None:
        return [source.real]
    files = [
        file
        for file in source.files
        if file.name.lower().endswith(_ENDINGS)
        and not any(part[:1] in "._" for part in file.relative_to(source.real).parts)
    ]
    if not files:
        raise SourceError(
            "empty",
            f"There are no Parquet files in {source.path}.",
            hint="Folders are read where they hold files that end in .parquet; other files are"
            " registered one by one.",
        )
    if len(files) > _FILES_MOST:
        raise SourceError(
            "too_many_files",
            f"There are {len(files):,} Parquet files in {source.path};"
            f" {_FILES_MOST:,} are the most.",
            hint="Write fewer, larger ones.",
        )
    return files


def _keys(parts: Sequence[str]) -> set[str]:
    return {part.split("=", 1)[0] for part in parts if "=" in part}


def _keys_below(source: Source, files: Sequence[Path]) -> list[str]:
    """The partition keys that the path of every file below the source has, in order."""
    if source.files is None:
        return []
    first = [part for part in files[0].relative_to(source.real).parent.parts if "=" in part]
    keys = [part.split("=", 1)[0] for part in first]
    for file in files:
        if not set(keys) <= _keys(file.relative_to(source.real).parent.parts):
            return []
    return keys


def _partitions(source: Source, files: Sequence[Path]) -> list[PartitionKey]:
    keys = _keys_below(source, files)
    values: dict[str, dict[str, None]] = {key: {} for key in keys}
    for file in files:
        for part in file.relative_to(source.real).parent.parts:
            key, separator, value = part.partition("=")
            if separator and key in values and value != _NO_VALUE:
                values[key][unquote(value)] = None
    return [PartitionKey(name=key, values=sorted(values[key])[:_VALUES_MOST]) for key in keys]


def _unreadable(source: Source, error: Exception) -> SourceError:
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    for readable in (source.readable, str(source.real)):
        said = said.replace(readable, source.path.name)
    return SourceError(
        "corrupt",
        f"{source.path.name} cannot be read as Parquet: {said[:500]}",
        hint="It may have been written only in part: write it again, then look again.",
    )
