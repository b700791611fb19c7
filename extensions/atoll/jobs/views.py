"""Rows as they cross the wire."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from atoll.jobs import queue, resources, store
from atoll.jobs.models import Failure, FileCount, Job, JobId, JobStatus, JobTarget, Step
from atoll.jobs.settings import JobSettings
from atoll.jobs.store import JobRow


def job_views(session: Session, rows: Sequence[JobRow], settings: JobSettings) -> list[Job]:
    """Jobs; where one waits, the position and the reason are those of this moment."""
    reads = store.reads_of(session, [row.id for row in rows])
    waiting = {row.queue for row in rows if row.status == JobStatus.QUEUED}
    lines = {name: store.line(session, name, settings) for name in waiting}
    return [_view(row, reads.get(row.id, []), lines.get(row.queue), settings) for row in rows]


def _view(row: JobRow, datasets: list[str], line: queue.Line | None, settings: JobSettings) -> Job:
    asked = store.resources_of(row)
    reason, message, position = row.reason, row.message, None
    if row.status == JobStatus.QUEUED and line is not None and row.id in line.positions:
        decision = queue.decide(line, row.id)
        reason, message, position = decision.reason, decision.message, decision.position
    if row.target == JobTarget.STOPPED and not JobStatus(row.status).final:
        reason, message = "stopping", "It is being stopped."
    return Job(
        id=JobId(row.id),
        name=row.name,
        folder=row.folder,
        user=row.user,
        server=row.server,
        parameters=row.parameters,
        environment=row.environment,
        environment_choice=row.choice,
        queue=row.queue,
        target=JobTarget(row.target),
        status=JobStatus(row.status),
        reason=reason,
        message=message,
        position=position,
        step=Step(cell=row.cell, cells=row.cells),
        failure=Failure.model_validate(row.failure) if row.failure is not None else None,
        timeout_s=row.timeout_s,
        retries=row.retries,
        retry_of=JobId(row.retry_of) if row.retry_of else None,
        retried_by=JobId(row.retried_by) if row.retried_by else None,
        resources=asked,
        resources_unused=resources.unused(asked, settings),
        files=FileCount(count=row.files, size=row.files_size),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        datasets=datasets,
    )
