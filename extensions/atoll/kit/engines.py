"""Each kind of database: how it is connected to, how writers take turns, what its errors mean."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import Counter
from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from atoll.kit.errors import AtollError, FullError, InvalidError, UnavailableError
from atoll.kit.settings import SettingsError

log = logging.getLogger(__name__)

_AWAY = Counter("atoll_database_away", "Times that the database did not answer")

BUSY_S: Final = 10.0
"""How long a writer waits for those before it, and who needs a connection for one, until it gives up."""

_IDLE_S: Final = (
    60  # a writer that fell silent (its node is gone) is ended by the server after this
)
_CONNECTIONS: Final = 10  # kept by a process; as many again for a rush
_WRITERS: Final = 0x61746F6C6C  # "atoll": the advisory lock that a writer holds, one a database
_NETWORK: Final[dict[str, str | int]] = {
    "connect_timeout": 5,
    # a server that vanished without a word (its node is gone) is noticed after 25 s, not 15 minutes
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    "application_name": "atoll",
}
"""libpq's parameters; those that the URL names go before."""

_DISK_FULL: Final = ("53100", "SQLITE_FULL")
_SQLITE_AWAY: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CANTOPEN", "SQLITE_IOERR")


def engine(url: str) -> Engine:
    """The engine for a database's URL; raises SettingsError for one that cannot be used."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingsError("This is not the URL of a database.", hint=_HINT) from error
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return _sqlite(parsed)
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return _postgres(parsed)
    raise SettingsError(f"{parsed.drivername!r} is no database of ours.", hint=_HINT)


_HINT: Final = "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE, or sqlite:////ABSOLUTE/PATH."


def begin_writing(session: Session) -> None:
    """Begin a transaction that no other writer, of any process, is in at the same time.

    So it sees all that those before it wrote, and what it decides on stays so until it commits.
    """
    if session.get_bind().dialect.name == "sqlite":
        # Take the write lock first: upgrading a read lock later can fail at once.
        session.execute(text("BEGIN IMMEDIATE"))
    else:
        # Held until the commit is there for all to see; in read committed, each statement sees it.
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS})


def check(session: Session) -> None:
    """Raise SettingsError where the database cannot hold every text."""
    if session.get_bind().dialect.name == "sqlite":
        return
    encoding = session.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise SettingsError(
            f"The database's encoding is {encoding}; the platform needs UTF8.",
            hint="CREATE DATABASE atoll ENCODING 'UTF8' TEMPLATE template0;",
        )


@contextmanager
def telling() -> Iterator[None]:
    """Turn what the database raises into what a person should be told; bugs of ours stay bugs."""
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        meant = _meant(error)
        if meant is None:
            raise
        raise meant from error


def network(url: URL | str) -> dict[str, str | int]:
    """What libpq is told so that a server that is away is noticed, where the URL says nothing else."""
    said = make_url(url).query
    return {name: kept for name, kept in _NETWORK.items() if name not in said}


def _sqlite(url: URL) -> Engine:
    # One connection a thread, never shared; autocommit off the driver: `write` says BEGIN itself.
    made = create_engine(url, connect_args={"timeout": BUSY_S})
    event.listen(made, "connect", _set_up_sqlite)
    return made


def _set_up_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # sqlite3: no implicit BEGIN
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # a power cut loses nothing that was answered
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA busy_timeout={int(BUSY_S * 1000)}")
    cursor.close()


def _postgres(url: URL) -> Engine:
    try:
        made = create_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args=network(url),
            isolation_level="READ COMMITTED",  # what `begin_writing` relies on
            pool_pre_ping=True,  # a server that was restarted is met by a new connection
            pool_size=_CONNECTIONS,
            max_overflow=_CONNECTIONS,
            pool_timeout=BUSY_S,
        )
    except ImportError as error:
        raise SettingsError(
            "The driver of PostgreSQL is not installed.", hint="pip install 'psycopg[binary]'"
        ) from error
    event.listen(made, "connect", _set_up_postgres)
    return made


def _set_up_postgres(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = '{int(BUSY_S)}s'")
    cursor.execute(f"SET idle_in_transaction_session_timeout = '{_IDLE_S}s'")
    cursor.close()
    connection.commit()  # else the first rollback takes the settings back


def _meant(error: DBAPIError | PoolTimeoutError) -> AtollError | None:
    """What an error means; None for one that only a bug explains."""
    if isinstance(error, PoolTimeoutError):
        return _away(error)
    code = _code(error)
    if code in _DISK_FULL:
        return FullError("The platform's database has no room left.", hint="Free some; try again.")
    if isinstance(error, DataError):
        log.info("the database refused a value: %s", error.orig)
        return InvalidError(
            "This holds a character or a number that cannot be stored.",
            hint="Leave out NUL characters and very large numbers.",
        )
    known = isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
    ours = code is not None and code.startswith("SQLITE_") and not code.startswith(_SQLITE_AWAY)
    return _away(error) if known and not ours else None


def _code(error: DBAPIError) -> str | None:
    """PostgreSQL's SQLSTATE, or the name that SQLite has for it."""
    for name in ("sqlstate", "sqlite_errorname"):
        if found := getattr(error.orig, name, None):
            return str(found)
    return None


def _away(error: DBAPIError | PoolTimeoutError) -> UnavailableError:
    _AWAY.inc()
    said = error.orig if isinstance(error, DBAPIError) else error
    log.warning("the database does not answer: %s", str(said).strip().partition("\n")[0])
    return UnavailableError(
        "The platform's database does not answer.",
        hint="What was saved is safe. Try again in a moment.",
    )
