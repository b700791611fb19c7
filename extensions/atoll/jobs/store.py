"""The tables of jobs, their notebooks, what they read, and queues; and the queries on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import JsonValue
from sqlalchemy import JSON, BigInteger, ForeignKey, LargeBinary, and_, delete, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from atoll.jobs import claims
from atoll.jobs.models import JobStatus, JobTarget, Resources
from atoll.jobs.queue import Before, Line, Waiting
from atoll.jobs.settings import JobSettings
from atoll.kit.db import Base, Moment, Row, guarded_update
from atoll.kit.errors import ConflictError
from atoll.kit.events import record

ACTIVE: Final = (JobStatus.ADMITTED, JobStatus.STARTING, JobStatus.RUNNING)
FINAL: Final = tuple(status for status in JobStatus if status.final)

_REPEATED: Final = (
    "user", "name", "folder", "server", "kernel", "language", "parameters", "choice", "environment",
    "queue", "cells", "timeout_s", "resources",
)  # fmt: skip  # of a job, in the one that runs it again
_ASKED_MOST: Final = 5000  # ids in one question: databases take some ten thousand
_TOLD_MOST: Final = 50  # of those that wait, from the front: the others are far from their turn


class OvertakenError(ConflictError):
    """Somebody else changed it first; the work is looked at again."""


class JobRow(Row):
    """A job: what is wanted (`target`) and what is (`status`)."""

    __tablename__ = "jobs"

    user: Mapped[str] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(index=True)
    folder: Mapped[str] = mapped_column(default="")
    server: Mapped[str | None]
    kernel: Mapped[str]
    language: Mapped[str]
    parameters: Mapped[dict[str, JsonValue]] = mapped_column(JSON, default=dict)
    choice: Mapped[str]
    environment: Mapped[str | None]
    queue: Mapped[str]
    target: Mapped[str]
    status: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str | None]
    message: Mapped[str | None]
    cell: Mapped[int] = mapped_column(default=0)
    cells: Mapped[int] = mapped_column(default=0)
    failure: Mapped[dict[str, object] | None] = mapped_column(JSON(none_as_null=True))
    timeout_s: Mapped[int]
    retries: Mapped[int] = mapped_column(default=0)
    retry_of: Mapped[str | None]
    retried_by: Mapped[str | None] = mapped_column(index=True)
    resources: Mapped[dict[str, JsonValue]] = mapped_column(JSON, default=dict)
    token_hash: Mapped[str | None] = mapped_column(index=True)  # while it may use its token
    files: Mapped[int] = mapped_column(default=0)
    files_size: Mapped[int] = mapped_column(BigInteger, default=0)
    started_at: Mapped[datetime | None] = mapped_column(Moment)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)


class NotebookRow(Base):
    """A job's notebook as submitted: JSON, beside the job so that lists stay light."""

    __tablename__ = "job_notebooks"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    document: Mapped[bytes] = mapped_column(LargeBinary)


class FilesRow(Base):
    """The files that a job was given, where it was given any: their names and sizes, and an archive."""

    __tablename__ = "job_files"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    listing: Mapped[list[list[JsonValue]]] = mapped_column(JSON)
    archive: Mapped[bytes] = mapped_column(LargeBinary)


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a job that is added: path and size of each, and the archive of them."""

    listing: tuple[tuple[str, int], ...]
    archive: bytes


class ReadRow(Base):
    """A dataset that a job read."""

    __tablename__ = "job_reads"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    dataset_id: Mapped[str] = mapped_column(primary_key=True)


class QueueRow(Row):
    """A queue by its name. Whoever admits a job raises the version: two cannot take one place."""

    __tablename__ = "job_queues"


def add_job(session: Session, row: JobRow, document: bytes, files: Files | None = None) -> None:
    """Add a new job with its notebook and files, and the event."""
    if files is not None:
        row.files, row.files_size = len(files.listing), sum(size for _, size in files.listing)
    session.add(row)
    session.flush()
    session.add(NotebookRow(job_id=row.id, document=document))
    if files is not None:
        listing = [list(one) for one in files.listing]
        session.add(FilesRow(job_id=row.id, listing=listing, archive=files.archive))
    session.flush()
    record(session, "job", row.id, "created", audience(row.user))


def add_retry(session: Session, row: JobRow, id_: str, created_at: datetime) -> None:
    """Add the job that runs a failed one again, in the same environment; one retry less is left."""
    session.flush()
    same = {name: getattr(row, name) for name in _REPEATED}
    again = JobRow(
        **same,
        id=id_,
        created_at=created_at,
        retries=row.retries - 1,
        retry_of=row.id,
        target=JobTarget.DONE,
        status=JobStatus.QUEUED,
    )
    add_job(session, again, notebook_of(session, row.id), files_of(session, row.id))


def change_job(session: Session, row: JobRow, **values: object) -> None:
    """Write the values and the event; raises OvertakenError where the row changed meanwhile."""
    if not guarded_update(session, JobRow, row.id, row.version, **values):
        raise OvertakenError("The job changed meanwhile.", hint="Look at it again.")
    if row in session:
        session.refresh(row)
    record(session, "job", row.id, "changed", audience(row.user))


def delete_job(session: Session, row: JobRow) -> None:
    """Delete a job and what belongs to it, with the event."""
    session.execute(delete(NotebookRow).where(NotebookRow.job_id == row.id))
    session.execute(delete(FilesRow).where(FilesRow.job_id == row.id))
    session.execute(delete(ReadRow).where(ReadRow.job_id == row.id))
    session.execute(update(JobRow).where(JobRow.retried_by == row.id).values(retried_by=None))
    claims.forget(session, row.id)
    session.delete(row)
    record(session, "job", row.id, "removed", audience(row.user))


def audience(user: str) -> list[str]:
    """Who may know that a job of this user changed."""
    return [f"user:{user}"]


def notebook_of(session: Session, id_: str) -> bytes:
    """The notebook as submitted."""
    return session.get_one(NotebookRow, id_).document


def files_of(session: Session, id_: str) -> Files | None:
    """The files that the job was given, with their archive; None where there are none."""
    row = session.get(FilesRow, id_)
    return Files(_listing(row.listing), row.archive) if row is not None else None


def archive_of(session: Session, id_: str) -> bytes | None:
    """The archive of the files that the job was given; None where there are none."""
    return session.scalar(select(FilesRow.archive).where(FilesRow.job_id == id_))


def listing_of(session: Session, id_: str) -> tuple[tuple[str, int], ...]:
    """Path and size of each file that the job was given."""
    found = session.scalar(select(FilesRow.listing).where(FilesRow.job_id == id_))
    return _listing(found or [])


def _listing(found: list[list[JsonValue]]) -> tuple[tuple[str, int], ...]:
    return tuple((str(path), int(str(size))) for path, size in found)


def resources_of(row: JobRow) -> Resources:
    """What the job asks for."""
    return Resources.model_validate(row.resources)


def page(
    session: Session,
    *,
    user: str | None,
    statuses: Sequence[str],
    name: str | None,
    after: str | None,
    limit: int,
) -> list[JobRow]:
    """Jobs newest first, `limit` and one more, older than the id `after`; of all users for None."""
    query = select(JobRow).order_by(JobRow.id.desc()).limit(limit + 1)
    if user is not None:
        query = query.where(JobRow.user == user)
    if statuses:
        query = query.where(JobRow.status.in_(statuses))
    if name is not None:
        query = query.where(JobRow.name == name)
    if after is not None:
        query = query.where(JobRow.id < after)
    return list(session.scalars(query))


def reads_of(session: Session, ids: Sequence[str]) -> dict[str, list[str]]:
    """Job id → ids of the datasets it read, for those that read any."""
    found: dict[str, list[str]] = {}
    query = select(ReadRow).where(ReadRow.job_id.in_(ids)).order_by(ReadRow.dataset_id)
    for row in session.scalars(query):
        found.setdefault(row.job_id, []).append(row.dataset_id)
    return found


def unfinished(session: Session) -> list[str]:
    """Ids of jobs that are not final, oldest first."""
    query = select(JobRow.id).where(JobRow.status.not_in(FINAL)).order_by(JobRow.id)
    return list(session.scalars(query))


def existing(session: Session, ids: Sequence[str]) -> dict[str, JobStatus]:
    """Which of these jobs there are, and their statuses."""
    found: dict[str, JobStatus] = {}
    for first in range(0, len(ids), _ASKED_MOST):
        some = ids[first : first + _ASKED_MOST]
        query = select(JobRow.id, JobRow.status).where(JobRow.id.in_(some))
        found |= {id_: JobStatus(status) for id_, status in session.execute(query)}
    return found


def finished_before(session: Session, moment: datetime, limit: int) -> list[JobRow]:
    """Final jobs that finished before the moment, oldest first."""
    query = select(JobRow).where(JobRow.status.in_(FINAL), JobRow.finished_at < moment)
    return list(session.scalars(query.order_by(JobRow.id).limit(limit)))


def by_token(session: Session, token_hash: str) -> JobRow | None:
    """The job whose token has this hash, while it runs."""
    return session.scalar(
        select(JobRow).where(JobRow.token_hash == token_hash, JobRow.status.not_in(FINAL))
    )


def last_of_name(session: Session, user: str, name: str, folder: str | None) -> JobRow | None:
    """The user's newest job of this name, and of this folder where one is given."""
    query = select(JobRow).where(JobRow.user == user, JobRow.name == name)
    if folder is not None:
        query = query.where(JobRow.folder == folder)
    return session.scalar(query.order_by(JobRow.id.desc()).limit(1))


def queue_version(session: Session, name: str) -> int:
    """The queue's version, to be raised by who admits a job; read before the line is."""
    row = session.get(QueueRow, name)
    if row is None:
        row = QueueRow(id=name, version=1)
        session.add(row)
        session.flush()
    return row.version


def take_place(session: Session, name: str, version: int) -> None:
    """Take a place in the queue; raises OvertakenError where somebody else just took one."""
    if not guarded_update(session, QueueRow, name, version):
        raise OvertakenError("Another job was admitted meanwhile.")


def has_room(session: Session, name: str, places: int) -> bool:
    """Whether any place of the queue is free: asked before the line is read, which may be long."""
    return _active(session, name) < places


def line(session: Session, name: str, settings: JobSettings) -> Line:
    """The queue as it stands."""
    query = (
        select(JobRow.id, JobRow.environment, JobRow.reason, JobRow.message, JobRow.user)
        .where(JobRow.queue == name, JobRow.status == JobStatus.QUEUED)
        .order_by(JobRow.id)
    )
    waiting = tuple(
        Waiting(id_, environment is not None, reason, message, user)
        for id_, environment, reason, message, user in session.execute(query)
    )
    return Line(
        name=name,
        places=settings.places,
        active=_active(session, name),
        waiting=waiting,
        per_user=settings.places_per_user,
        active_of=_active_of(session, name) if settings.places_per_user else {},
    )


def before(session: Session, row: JobRow, *, of_user: bool) -> Before:
    """How many are before a job that waits; those of its user only where they are asked for."""
    active = JobRow.status.in_(ACTIVE)
    ahead = and_(JobRow.status == JobStatus.QUEUED, JobRow.id < row.id)
    query = (
        select(func.count().filter(active), func.count().filter(ahead))
        .where(JobRow.queue == row.queue)
        .where(JobRow.status.in_((*ACTIVE, JobStatus.QUEUED)))
    )
    counted = session.execute(query).one()
    own = session.execute(query.where(JobRow.user == row.user)).one() if of_user else (0, 0)
    return Before(*counted, *own)


def _active(session: Session, name: str) -> int:
    query = select(func.count()).where(JobRow.queue == name, JobRow.status.in_(ACTIVE))
    return session.scalar(query) or 0


def _active_of(session: Session, name: str) -> dict[str, int]:
    query = (
        select(JobRow.user, func.count())
        .where(JobRow.queue == name, JobRow.status.in_(ACTIVE))
        .group_by(JobRow.user)
    )
    return {user: int(count) for user, count in session.execute(query)}


def tell_line(session: Session, name: str) -> None:
    """Record that those at the front of the queue moved: for people, and to wake the reconciler."""
    query = (
        select(JobRow.id, JobRow.user)
        .where(JobRow.queue == name, JobRow.status == JobStatus.QUEUED)
        .order_by(JobRow.id)
        .limit(_TOLD_MOST)
    )
    for id_, user in session.execute(query).all():
        record(session, "job", id_, "changed", audience(user))
