"""The tables of datasets and grants, and the queries on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from pydantic import JsonValue
from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Select,
    UniqueConstraint,
    delete,
    or_,
    select,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from atoll.datasets.models import PLATFORM, DatasetStatus
from atoll.kit.db import Base, Moment, Row, guarded_update, now
from atoll.kit.errors import ConflictError
from atoll.kit.events import Change, record


class OvertakenError(ConflictError):
    """Somebody else changed it first; the work is looked at again."""


class DatasetRow(Row):
    """A dataset. `probe_at` is what is wanted (a look at the source, by then), `status` what is.

    Everything from `format` down to `sample` is of the last good probe.
    """

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("owner", "name", name="uq_datasets_owner"),)

    owner: Mapped[str]
    name: Mapped[str] = mapped_column(index=True)
    description: Mapped[str] = mapped_column(default="")
    wanted_format: Mapped[str | None]  # what its owner says it is; None: found out
    location: Mapped[dict[str, JsonValue]] = mapped_column(JSON)
    status: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str | None]
    message: Mapped[str | None]
    probe_at: Mapped[datetime] = mapped_column(Moment, index=True)
    format: Mapped[str | None]
    options: Mapped[dict[str, JsonValue]] = mapped_column(JSON, default=dict)  # as found out
    columns: Mapped[list[dict[str, JsonValue]]] = mapped_column(JSON, default=list)
    partitions: Mapped[list[dict[str, JsonValue]]] = mapped_column(JSON, default=list)
    rows: Mapped[int | None] = mapped_column(BigInteger)
    rows_exact: Mapped[bool] = mapped_column(default=True)
    size: Mapped[int | None] = mapped_column(BigInteger)
    source_modified_at: Mapped[datetime | None] = mapped_column(Moment)
    probed_at: Mapped[datetime | None] = mapped_column(Moment)
    sample: Mapped[str | None]  # the folder of the stored sample: the id of the probe that made it
    seen: Mapped[str | None]  # fingerprint of the source as it was then
    refused: Mapped[str | None]  # fingerprint of a source that could be reached but not read


UNSEEN: Final[Mapping[str, object]] = {
    "reason": None,
    "message": None,
    "format": None,
    "options": {},
    "columns": [],
    "partitions": [],
    "rows": None,
    "rows_exact": True,
    "size": None,
    "source_modified_at": None,
    "probed_at": None,
    "sample": None,
    "seen": None,
    "refused": None,
}
"""What is known of a source that no probe has seen yet."""


class GrantRow(Base):
    """Who may use a dataset besides its owner."""

    __tablename__ = "dataset_grants"

    dataset_id: Mapped[str] = mapped_column(
        ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True
    )
    principal: Mapped[str] = mapped_column(primary_key=True, index=True)


class SeedRow(Base):
    """A dataset of the platform's own that was made once: one that was removed stays removed."""

    __tablename__ = "dataset_seeds"

    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    # Which it was, also when it is gone; None where an older version of the platform did not know.
    dataset_id: Mapped[str | None]


def add_dataset(session: Session, row: DatasetRow, grants: Iterable[str]) -> DatasetRow:
    """Add a new dataset with its grants and its event."""
    session.add(row)
    session.flush()
    session.add_all(GrantRow(dataset_id=row.id, principal=one) for one in sorted(set(grants)))
    session.flush()
    _record(session, row, "created")
    return row


def change_dataset(session: Session, row: DatasetRow, **values: object) -> None:
    """Write the values and the event; raises OvertakenError where the row changed meanwhile."""
    if not guarded_update(session, DatasetRow, row.id, row.version, **values):
        raise OvertakenError("The dataset changed meanwhile.", hint="Look at it again.")
    session.refresh(row)
    _record(session, row, "changed")


def replace_grants(session: Session, row: DatasetRow, grants: Iterable[str]) -> None:
    """Replace who may use the dataset; both who may and who no longer may get the event."""
    before = grants_of(session, row.id)
    session.execute(delete(GrantRow).where(GrantRow.dataset_id == row.id))
    session.add_all(GrantRow(dataset_id=row.id, principal=one) for one in sorted(set(grants)))
    session.flush()
    if not guarded_update(session, DatasetRow, row.id, row.version):
        raise OvertakenError("The dataset changed meanwhile.", hint="Look at it again.")
    session.refresh(row)
    _record(session, row, "changed", before)


def remove_dataset(session: Session, row: DatasetRow) -> None:
    """Remove the dataset with its grants; its event goes to all who could see it."""
    _record(session, row, "removed")
    session.execute(delete(GrantRow).where(GrantRow.dataset_id == row.id))
    session.delete(row)


def grants_of(session: Session, id_: str) -> list[str]:
    """Who may use the dataset besides its owner, in order."""
    query = select(GrantRow.principal).where(GrantRow.dataset_id == id_)
    return sorted(session.scalars(query))


def grants_by_dataset(session: Session, ids: Iterable[str]) -> dict[str, list[str]]:
    """The same for many datasets at once."""
    found: dict[str, list[str]] = {id_: [] for id_ in ids}
    query = select(GrantRow).where(GrantRow.dataset_id.in_(found)).order_by(GrantRow.principal)
    for grant in session.scalars(query):
        found[grant.dataset_id].append(grant.principal)
    return found


def find_owned(session: Session, owner: str, name: str) -> DatasetRow | None:
    """The owner's dataset of this name; of the platform for `PLATFORM`."""
    query = select(DatasetRow).where(DatasetRow.owner == owner, DatasetRow.name == name)
    return session.scalar(query)


def find_seeded(session: Session, name: str) -> DatasetRow | None:
    """The very dataset that the platform made under this name, while it is there."""
    query = select(DatasetRow).join(SeedRow, SeedRow.dataset_id == DatasetRow.id)
    return session.scalar(query.where(SeedRow.name == name))


def usable_named(
    session: Session, name: str, user: str, principals: Iterable[str]
) -> list[DatasetRow]:
    """Datasets of this name that the user may use, oldest first."""
    query = select(DatasetRow).where(DatasetRow.name == name)
    return list(session.scalars(_usable(query, user, principals).order_by(DatasetRow.id)))


def datasets_page(
    session: Session,
    user: str,
    principals: Iterable[str] | None,
    *,
    name: str | None,
    after: str | None,
    limit: int,
) -> list[DatasetRow]:
    """Datasets newest first, `limit` and one more; for principals of None, everybody's.

    `name` is what their names contain.
    """
    query = select(DatasetRow)
    if principals is not None:
        query = _usable(query, user, principals)
    if name is not None:
        query = query.where(DatasetRow.name.contains(name.lower(), autoescape=True))
    if after is not None:
        query = query.where(DatasetRow.id < after)
    return list(session.scalars(query.order_by(DatasetRow.id.desc()).limit(limit + 1)))


def due(session: Session, moment: datetime) -> list[str]:
    """Datasets whose source is to be looked at by now, those that wait for it first."""
    wanted = or_(DatasetRow.status == DatasetStatus.PROBING, DatasetRow.probe_at <= moment)
    query = select(DatasetRow.id).where(wanted)
    waiting_first = (DatasetRow.status != DatasetStatus.PROBING, DatasetRow.probe_at)
    return list(session.scalars(query.order_by(*waiting_first)))


def samples(session: Session) -> dict[str, str | None]:
    """The folder of each dataset's stored sample."""
    rows = session.execute(select(DatasetRow.id, DatasetRow.sample))
    return {row.id: row.sample for row in rows}


def audience(row: DatasetRow, grants: Iterable[str]) -> list[str]:
    """Who may see the dataset's events: its owner and those it is granted to."""
    owner = [] if row.owner == PLATFORM else [f"user:{row.owner}"]
    return sorted({*owner, *grants})


def _usable(query: Select[DatasetRow], user: str, principals: Iterable[str]) -> Select[DatasetRow]:
    granted = select(GrantRow.dataset_id).where(GrantRow.principal.in_(list(principals)))
    return query.where(or_(DatasetRow.owner == user, DatasetRow.id.in_(granted)))


def _record(session: Session, row: DatasetRow, change: Change, more: Iterable[str] = ()) -> None:
    seers = {*audience(row, grants_of(session, row.id)), *more}
    record(session, "dataset", row.id, change, sorted(seers))
