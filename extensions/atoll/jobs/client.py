"""Calls about jobs, for the SDK, the command line and the lab."""

from __future__ import annotations

from urllib.parse import quote

from atoll.jobs.models import (
    DatasetName,
    Inspection,
    InspectRequest,
    Job,
    JobFile,
    JobRequest,
    JobStatus,
    LogChunk,
    Queue,
)
from atoll.kit.http import Call
from atoll.kit.paging import Page


def submit(request: JobRequest) -> Call[Job]:
    """Submit a notebook as a job."""
    return Call("POST", "jobs", Job, body=request)


def jobs(
    *,
    status: JobStatus | None = None,
    name: str | None = None,
    user: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Call[Page[Job]]:
    """The caller's jobs, newest first; administrators may name a user, or `*` for everybody."""
    values = {"status": status, "name": name, "user": user, "cursor": cursor}
    params: dict[str, str | int | bool] = {k: v for k, v in values.items() if v is not None}
    return Call("GET", "jobs", Page[Job], params={**params, "limit": limit})


def inspect(request: InspectRequest) -> Call[Inspection]:
    """The parameters of a notebook, and the values of the caller's last job of that name."""
    return Call("POST", "jobs/inspect", Inspection, body=request)


def job(id_: str) -> Call[Job]:
    """One job."""
    return Call("GET", _job(id_), Job)


def log(id_: str, offset: int = 0, limit: int = 1 << 16) -> Call[LogChunk]:
    """At most `limit` bytes of the log from `offset`; go on at `next_offset` until `complete`."""
    return Call("GET", f"{_job(id_)}/log", LogChunk, params={"offset": offset, "limit": limit})


def output(id_: str) -> Call[bytes]:
    """The output notebook (JSON), also while the job runs."""
    return Call("GET", f"{_job(id_)}/output", bytes)


def notebook(id_: str) -> Call[bytes]:
    """The notebook as submitted (JSON)."""
    return Call("GET", f"{_job(id_)}/notebook", bytes)


def files(id_: str) -> Call[list[JobFile]]:
    """The files that a job was given, by path."""
    return Call("GET", f"{_job(id_)}/files", list[JobFile])


def stop(id_: str) -> Call[Job]:
    """Have a job stopped."""
    return Call("POST", f"{_job(id_)}/stop", Job)


def again(id_: str) -> Call[Job]:
    """Submit the same notebook with the same parameters."""
    return Call("POST", f"{_job(id_)}/again", Job)


def delete(id_: str) -> Call[None]:
    """Delete a job that has ended, with its log and output."""
    return Call("DELETE", _job(id_), type(None))


def queues() -> Call[list[Queue]]:
    """The queues: how many places, how many running, how many waiting."""
    return Call("GET", "queues", list[Queue])


def dataset_name(id_: str) -> Call[DatasetName]:
    """What a dataset is called that a job has read."""
    return Call("GET", f"datasets/{quote(id_, safe='')}", DatasetName)


def _job(id_: str) -> str:
    return f"jobs/{quote(id_, safe='')}"
