"""The HTTP side of what a job's own process says, with the job's own token and nobody else's."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from atoll.jobs.reports import PIECE_MOST, Reports, full_told
from atoll.jobs.runners import Said
from atoll.jobs.service import Jobs
from atoll.jobs.work_models import Claim, Heard, Order, Progress
from atoll.kit import web
from atoll.kit.errors import ForbiddenError, NotFoundError

router = APIRouter(prefix="/api/v1/jobs/{id}/run", tags=["jobs"])

_RESULT_MOST: Final = 1 << 20
_GZIP: Final = "application/gzip"
_RAW: Final[dict[str, Any]] = {
    "requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}
}

M = TypeVar("M", bound=BaseModel)


def _of_app(request: Request) -> Reports:
    jobs: Jobs = request.app.state.jobs
    if jobs.reports is None:
        raise NotFoundError("Jobs here are run beside the service, and need not report.")
    return jobs.reports


Rules = Annotated[Reports, Depends(_of_app)]


async def _own_job(request: Request, rules: Rules, id: str) -> str:  # noqa: A002  # the path's
    """The job whose process calls: its token must be the one of the job that the path names."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    known = None
    if scheme.lower() in ("token", "bearer"):
        known = await asyncio.to_thread(rules.own, token.strip())
    if known is None:
        await web.identified(request)  # raises where it is nobody's token at all
        raise ForbiddenError(
            "This is for the job's own process.", hint="Jobs are submitted with POST jobs."
        )
    if known != id:
        raise NotFoundError("There is no such job.")
    return known


OwnJob = Annotated[str, Depends(_own_job)]
Claimant = Annotated[
    str, Header(alias="Atoll-Claimant", max_length=64, description="as in the claim")
]


async def _told(request: Request, model: type[M]) -> M:
    """The request's body, read once the caller is known."""
    web.take(request, _RESULT_MOST)
    content = await request.body()
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise RequestValidationError(
            [{**problem, "loc": ("body", *problem["loc"])} for problem in problems]
        ) from error


@router.post("/claim")
async def claim_job(request: Request, job: OwnJob, rules: Rules) -> Order:
    """Take the job: one process alone ever gets it, however often it is asked for."""
    claim = await _told(request, Claim)
    return await asyncio.to_thread(rules.claim, job, claim)


@router.get("/files", response_class=Response, responses={200: {"content": {_GZIP: {}}}})
async def fetch_files(job: OwnJob, rules: Rules, claimant: Claimant) -> Response:
    """The files that the job was given, as an archive (tar, gzip)."""
    found = await asyncio.to_thread(rules.files, job, claimant)
    return Response(found, media_type=_GZIP)


@router.post("/progress", status_code=204)
async def tell_progress(request: Request, job: OwnJob, rules: Rules, claimant: Claimant) -> None:
    """How far the job is, said now and then."""
    progress = await _told(request, Progress)
    await asyncio.to_thread(rules.progress, job, claimant, progress)


@router.post("/log", openapi_extra=_RAW)
async def tell_log(
    request: Request,
    job: OwnJob,
    rules: Rules,
    claimant: Claimant,
    offset: Annotated[int, Query(ge=0, le=1 << 50, description="where the piece begins")],
) -> Heard:
    """A piece of the log; the answer says where the next one begins."""
    web.take(request, PIECE_MOST)
    piece = await request.body()
    return await asyncio.to_thread(rules.log, job, claimant, offset, piece)


@router.put("/output", status_code=204, openapi_extra=_RAW)
async def tell_output(request: Request, job: OwnJob, rules: Rules, claimant: Claimant) -> None:
    """The output notebook as it is now."""
    web.take(request, rules.most_output)
    draft = await asyncio.to_thread(rules.draft_output, job, claimant)
    try:
        with full_told():
            async for piece in request.stream():
                await asyncio.to_thread(draft.write, piece)
            await asyncio.to_thread(draft.keep)
    finally:
        draft.close()


@router.post("/result", status_code=204)
async def tell_result(request: Request, job: OwnJob, rules: Rules, claimant: Claimant) -> None:
    """How the job ended: the last that is taken."""
    said = await _told(request, Said)
    await asyncio.to_thread(rules.result, job, claimant, said)
