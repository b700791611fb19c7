"""The database: short transactions, guarded updates, migrations, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from prometheus_client import Histogram
from sqlalchemy import DateTime, Dialect, MetaData, TypeDecorator, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from atoll.kit import engines
from atoll.kit.errors import UnavailableError
from atoll.kit.settings import SettingsError

_PATIENCE_S: Final = 60.0  # a database that starts at the same time, or is being restarted
_LOOK_S: Final = 1.0

_BUCKETS: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)
_WAITED = Histogram(
    "atoll_database_turn_seconds", "Seconds until a writer had its turn", buckets=_BUCKETS
)
_WROTE = Histogram(
    "atoll_database_write_seconds", "Seconds that a writer had it, commit and all", buckets=_BUCKETS
)


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

    Never hold one across slow work. From the event loop, call in a thread. Both raise
    UnavailableError where the database does not answer: what a `write()` was to do is then not
    done, or (where the connection broke at its very end) may be; who tries again looks first.
    """

    def __init__(self, url: str) -> None:
        self.engine = engines.engine(url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._listeners: list[Callable[[], None]] = []
        self._turn = Lock()
        self._closed = False

    def after_commit(self, listener: Callable[[], None]) -> None:
        """Call the listener after each write; it must not raise and must not block."""
        self._listeners.append(listener)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session to read with; nothing is written."""
        with self._session() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that is committed at the end, or rolled back where an error leaves it.

        Writers take turns, over all services on this database: nobody else writes meanwhile.
        """
        asked = time.perf_counter()
        with self._turns(), self._session() as session, session.begin():
            engines.begin_writing(session)
            began = time.perf_counter()
            _WAITED.observe(began - asked)
            yield session
        _WROTE.observe(time.perf_counter() - began)
        for listener in self._listeners:
            listener()

    def close(self) -> None:
        """Close all connections; those that a thread still uses when it gives them back."""
        self._closed = True
        self.engine.pool.dispose()

    def upgrade(self, migrations: list[Path], *, patience_s: float = _PATIENCE_S) -> None:
        """Bring the schema to its newest version, wholly or not at all, however this ends.

        Each folder is one capability's own branch. Who comes second waits for the first; a
        database that does not answer yet is waited for. Raises UnavailableError where it never
        does, SettingsError where it is of a newer version, or cannot hold every text.
        """
        give_up = time.monotonic() + patience_s
        while True:
            try:
                self._upgrade(migrations)
            except UnavailableError:
                if time.monotonic() > give_up:
                    raise
            else:
                return
            time.sleep(_LOOK_S)

    def _upgrade(self, migrations: list[Path]) -> None:
        with self._session() as session, session.begin():
            engines.begin_writing(session)
            engines.check(session)
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.set_main_option("path_separator", "newline")
            config.set_main_option("version_locations", "\n".join(str(path) for path in migrations))
            config.attributes["connection"] = session.connection()
            try:
                command.upgrade(config, "heads")
            except CommandError as error:
                raise SettingsError(
                    f"The database is of another version of the platform ({error}).",
                    hint="Run the newest version that has used it; versions do not go back.",
                ) from error

    @contextmanager
    def _session(self) -> Iterator[Session]:
        try:
            with engines.telling(), self._sessions() as session:
                yield session
        finally:
            if self._closed:
                self.engine.pool.dispose()

    @contextmanager
    def _turns(self) -> Iterator[None]:
        """Wait here for this process's other writers, not with a connection that readers need."""
        if not self._turn.acquire(timeout=engines.BUSY_S):
            raise UnavailableError(
                "The platform writes too much at this moment.", hint="Try again in a moment."
            )
        try:
            yield
        finally:
            self._turn.release()
