"""Who carries a job out where it is no process of this machine, and what that process says of itself.

In the database, since that is what all services share and what outlives their disks: of any number of
pods that were ever made for a job, one takes it, and the others find it taken.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Update, delete, func, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from atoll.kit.db import Base, Moment

NOBODY = ""
"""The claimant of a job that nobody will ever carry out."""


class ClaimRow(Base):
    """Who has a job: `claimant` is None while anybody may take it, NOBODY once nobody may."""

    __tablename__ = "job_claims"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    tries: Mapped[int] = mapped_column(default=0)  # pods that were made for it
    claimant: Mapped[str | None]
    pod: Mapped[str | None]  # the claimant's, by UID
    claimed_at: Mapped[datetime | None] = mapped_column(Moment)
    heard_at: Mapped[datetime | None] = mapped_column(Moment)
    cell: Mapped[int] = mapped_column(default=0)
    cells: Mapped[int | None]  # None until the notebook has begun
    ending: Mapped[bool] = mapped_column(default=False)  # the platform itself ends it
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))

    @property
    def open(self) -> bool:
        """Whether it can still be taken."""
        return self.claimant is None

    @property
    def given_up(self) -> bool:
        """Whether nobody has it and nobody ever will."""
        return self.claimant == NOBODY


def find(session: Session, job_id: str) -> ClaimRow | None:
    """The claim, None where no pod was ever made for the job."""
    query = select(ClaimRow).where(ClaimRow.job_id == job_id)
    return session.scalar(query.execution_options(populate_existing=True))


def make(session: Session, job_id: str) -> ClaimRow:
    """The claim, made if need be. In a `write()`, where nobody else makes one meanwhile."""
    row = find(session, job_id)
    if row is None:
        row = ClaimRow(job_id=job_id)
        session.add(row)
        session.flush()
    return row


def tried(session: Session, job_id: str) -> None:
    """One more pod was made. In a `write()`, as `make`."""
    if not _change(session, _of(job_id).values(tries=ClaimRow.tries + 1)):
        session.execute(insert(ClaimRow).values(job_id=job_id, tries=1))


def take(session: Session, job_id: str, claimant: str, pod: str, moment: datetime) -> bool:
    """Take the job, for good; True also for the claimant that has it already."""
    make(session, job_id)
    taken = _of(job_id).where(ClaimRow.claimant.is_(None))
    values = {"claimant": claimant, "pod": pod, "claimed_at": moment, "heard_at": moment}
    if _change(session, taken.values(**values)):
        return True
    return session.scalar(select(ClaimRow.claimant).where(ClaimRow.job_id == job_id)) == claimant


def give_up(session: Session, job_id: str) -> bool:
    """See to it that nobody will take it; False where somebody has it."""
    make(session, job_id)
    open_ = _of(job_id).where(ClaimRow.claimant.is_(None))
    return _change(session, open_.values(claimant=NOBODY))


def settle(session: Session, job_id: str, result: dict[str, Any]) -> bool:
    """Write down how it ended for whoever has it, or for nobody; False where that is known."""
    claimant = func.coalesce(ClaimRow.claimant, NOBODY)
    unknown = _of(job_id).where(ClaimRow.result.is_(None))
    return _change(session, unknown.values(claimant=claimant, result=result))


def end(session: Session, job_id: str) -> None:
    """From now on the platform itself ends it."""
    _change(session, _of(job_id).values(ending=True))


def heard(session: Session, job_id: str, claimant: str, moment: datetime, **values: object) -> bool:
    """Write down what the claimant says; False where it has it not, or has said its last word."""
    own = _of(job_id).where(ClaimRow.claimant == claimant, ClaimRow.result.is_(None))
    return _change(session, own.values(heard_at=moment, **values))


def forget(session: Session, job_id: str) -> None:
    """Remove the claim, with its job."""
    session.execute(delete(ClaimRow).where(ClaimRow.job_id == job_id))


def _of(job_id: str) -> Update:
    statement = update(ClaimRow).where(ClaimRow.job_id == job_id)
    return statement.execution_options(synchronize_session=False)


def _change(session: Session, statement: Update) -> bool:
    return bool(session.execute(statement).rowcount == 1)  # type: ignore[attr-defined]
