"""DuckDB as this platform uses it: times in UTC, and nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def connected(settings: Mapping[str, str | int] | None = None) -> DuckDBPyConnection:
    """A connection to a database in memory, with further settings of DuckDB's."""
    import duckdb

    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            **(settings or {}),
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection
