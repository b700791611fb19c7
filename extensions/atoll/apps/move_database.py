"""Copies the service's state from SQLite to PostgreSQL: `python -m atoll.apps.move_database`.

From the file in ATOLL_HOME to what `service.database` says, which nothing has used yet; the service
is down meanwhile. No URL is on the command line, where others would see its password.
"""

from __future__ import annotations

from sqlalchemy import func, insert, select

from atoll.apps.service import MIGRATIONS
from atoll.apps.settings import ServiceSettings
from atoll.kit import console, settings
from atoll.kit.db import Base, Database
from atoll.kit.errors import ConflictError, InvalidError, NotFoundError
from atoll.kit.events import EventRow
from atoll.kit.home import Home

_AT_ONCE = 500


def move(source: str, target: str) -> int:
    """Copy all rows in one transaction; their number. Events begin anew: streams are told to reset.

    Raises ConflictError where the target holds something already, SettingsError for a wrong URL.
    """
    before, after = Database(source), Database(target)
    before.upgrade(MIGRATIONS)
    after.upgrade(MIGRATIONS)
    copied = 0
    tables = [one for one in Base.metadata.sorted_tables if one.name != EventRow.__tablename__]
    with before.read() as read, after.write() as write:
        for table in tables:
            if write.scalar(select(func.count()).select_from(table)):
                raise ConflictError(
                    f"The table {table.name} of the new database is not empty.",
                    hint="Give it a database of its own that nothing has used yet.",
                )
            for rows in read.execute(select(table)).mappings().partitions(_AT_ONCE):
                write.execute(insert(table), [dict(row) for row in rows])
                copied += len(rows)
    before.close()
    after.close()
    return copied


def main() -> None:
    """Copy, and say how much it was."""
    home = Home.find()
    file = home.service / "atoll.sqlite"
    target = settings.load(ServiceSettings, home.settings).service.database
    if not target:
        raise InvalidError(
            "The settings name no database to copy to.",
            hint="Set service.database, or ATOLL_SERVICE__DATABASE for this command alone.",
        )
    if not file.exists():
        raise NotFoundError(f"There is no {file}.", hint="Set ATOLL_HOME to the installation's.")
    console.say(f"{move(f'sqlite:///{file}', target)} rows were copied; {file} stays as it is.")


if __name__ == "__main__":
    console.run(main)
