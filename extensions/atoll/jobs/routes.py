"""The HTTP side of jobs."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from atoll.jobs.bodies import NotebookRoute
from atoll.jobs.models import (
    Inspection,
    InspectRequest,
    Job,
    JobFile,
    JobRequest,
    JobStatus,
    LogChunk,
    Queue,
)
from atoll.jobs.service import Jobs
from atoll.kit.paging import Page
from atoll.kit.web import Cursor, Limit, User

_LOG_MOST: Final = 1 << 20
_IPYNB: Final = "application/x-ipynb+json"


router = APIRouter(prefix="/api/v1", tags=["jobs"], route_class=NotebookRoute)


def _of_app(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs


Rules = Annotated[Jobs, Depends(_of_app)]


@router.post("/jobs", status_code=201)
def submit_job(rules: Rules, caller: User, body: JobRequest) -> Job:
    """Submit a notebook as a job."""
    return rules.create(caller, body)


@router.get("/jobs")
def list_jobs(
    rules: Rules,
    caller: User,
    *,
    status: JobStatus | None = None,
    name: Annotated[str | None, Query(max_length=200)] = None,
    user: Annotated[
        str | None, Query(max_length=255, description="administrators: a user, `*` for all")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[Job]:
    """The caller's jobs, newest first."""
    return rules.page(caller, user=user, status=status, name=name, cursor=cursor, limit=limit)


@router.post("/jobs/inspect")
def inspect_notebook(rules: Rules, caller: User, body: InspectRequest) -> Inspection:
    """The parameters of a notebook, before it is submitted."""
    return rules.inspect(caller, body)


@router.get("/jobs/{id}")
def show_job(rules: Rules, caller: User, id: str) -> Job:  # noqa: A002  # the path's
    """One job."""
    return rules.show(caller, id)


@router.get("/jobs/{id}/log")
def show_log(
    rules: Rules,
    caller: User,
    id: str,  # noqa: A002  # the path's
    *,
    offset: Annotated[int, Query(ge=0, le=1 << 50, description="bytes to skip")] = 0,
    limit: Annotated[int, Query(ge=4, le=_LOG_MOST, description="bytes to give")] = 1 << 16,
) -> LogChunk:
    """A piece of the log, also while the job runs."""
    return rules.log(caller, id, offset, limit)


@router.get(
    "/jobs/{id}/output", response_class=Response, responses={200: {"content": {_IPYNB: {}}}}
)
def show_output(rules: Rules, caller: User, id: str) -> Response:  # noqa: A002  # the path's
    """The output notebook, also while the job runs."""
    return Response(rules.output(caller, id), media_type=_IPYNB)


@router.get(
    "/jobs/{id}/notebook", response_class=Response, responses={200: {"content": {_IPYNB: {}}}}
)
def show_notebook(rules: Rules, caller: User, id: str) -> Response:  # noqa: A002  # the path's
    """The notebook as submitted."""
    return Response(rules.notebook(caller, id), media_type=_IPYNB)


@router.get("/jobs/{id}/files")
def list_files(rules: Rules, caller: User, id: str) -> list[JobFile]:  # noqa: A002  # the path's
    """The files that the job was given, by path."""
    return rules.files(caller, id)


@router.post("/jobs/{id}/stop", status_code=202)
def stop_job(rules: Rules, caller: User, id: str) -> Job:  # noqa: A002  # the path's
    """Have the job stopped."""
    return rules.stop(caller, id)


@router.post("/jobs/{id}/again", status_code=201)
def run_again(rules: Rules, caller: User, id: str) -> Job:  # noqa: A002  # the path's
    """Submit the same notebook with the same parameters."""
    return rules.again(caller, id)


@router.delete("/jobs/{id}", status_code=204)
def delete_job(rules: Rules, caller: User, id: str) -> None:  # noqa: A002  # the path's
    """Delete a job that has ended."""
    rules.delete(caller, id)


@router.get("/queues")
def list_queues(rules: Rules, _: User) -> list[Queue]:
    """The queues."""
    return rules.queues()
