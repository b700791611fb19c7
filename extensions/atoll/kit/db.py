"""The database: short transactions, guarded updates, migrations, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import (
    DateTime,
    Dialect,
    Engine,
    MetaData,
    TypeDecorator,
    create_engine,
    event,
    make_url,
    text,
    update,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

_BUSY_MS = 10_000  # how long a writer waits for another before it gives up


def now() -> datetime:
    """The time now, with its zone (UTC)."""
    return datetime.now(UTC)


class Moment(TypeDecorator[datetime]):
    """A point in time. Stored as UTC without a zone (SQLite knows none), read back with it."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database: UTC, without the zone."""
        return value.astimezone(UTC).replace(tzinfo=None) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database: with the zone."""
        return value.replace(tzinfo=UTC) if value is not None else None


class Base(DeclarativeBase):
    """The mother of all tables. Constraints are named, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Row(Base):
    """A long-lived thing: an id that sorts by time, and a version that every update raises."""

    __abstract__ = True

    id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    updated_at: Mapped[datetime] = mapped_column(Moment, default=now)


def guarded_update(
    session: Session, row: type[Row], id_: str, version: int, **values: object
) -> bool:
    """Write the values if the row still has this version; False where somebody else was first."""
    statement = (
        update(row)
        .where(row.id == id_, row.version == version)
        .values(version=version + 1, updated_at=now(), **values)
        .execution_options(synchronize_session=False)
    )
    return bool(session.execute(statement).rowcount == 1)  # type: ignore[attr-defined]


class Database:
    """One database: `read()` and `write()` give sessions that are one short transaction each.

    Never hold one across slow work. From the event loop, call in a thread.
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._listeners: list[Callable[[], None]] = []

    def after_commit(self, listener: Callable[[], None]) -> None:
        """Call the listener after each write; it must not raise and must not block."""
        self._listeners.append(listener)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session to read with; nothing is written."""
        with self._sessions() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that is committed at the end, or rolled back where an error leaves it."""
        with self._sessions() as session, session.begin():
            if self.engine.dialect.name == "sqlite":
                # Take the write lock first: upgrading a read lock later can fail at once.
                session.execute(text("BEGIN IMMEDIATE"))
            yield session
        for listener in self._listeners:
            listener()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def upgrade(self, migrations: list[Path]) -> None:
        """Bring the schema to its newest version, wholly or not at all, however this ends.

        Each folder is one capability's own branch. Who comes second waits for the first.
        """
        with self.engine.begin() as connection:
            if self.engine.dialect.name == "sqlite":
                connection.execute(text("BEGIN IMMEDIATE"))
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.set_main_option("path_separator", "newline")
            config.set_main_option("version_locations", "\n".join(str(path) for path in migrations))
            config.attributes["connection"] = connection
            command.upgrade(config, "heads")


def _engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    # One connection a thread, never shared; autocommit off the driver: `write` says BEGIN itself.
    engine = create_engine(url, connect_args={"timeout": _BUSY_MS / 1000})
    event.listen(engine, "connect", _set_up_sqlite)
    return engine


def _set_up_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # sqlite3: no implicit BEGIN
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # a power cut loses nothing that was answered
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    cursor.close()
