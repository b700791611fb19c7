"""Routes that belong to no capability: who am I, the event stream, health."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import text

from atoll.kit.account import Me
from atoll.kit.db import Database
from atoll.kit.events import EventStream, as_sse
from atoll.kit.web import User

router = APIRouter(prefix="/api/v1", tags=["platform"])
health = APIRouter(include_in_schema=False)


@router.get("/me")
def me(caller: User) -> Me:
    """Who the caller is to the platform."""
    return Me(
        name=caller.name,
        admin=caller.admin,
        groups=sorted(caller.groups),
        server=caller.server,
        job=caller.job,
        scopes=sorted(caller.scopes),
    )


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events, for ever"}},
)
async def events(
    request: Request,
    caller: User,
    after: Annotated[
        int | None, Query(ge=0, lt=10**18, description="resume after this event")
    ] = None,
    last_event_id: Annotated[str | None, Header(pattern=r"^\d{1,18}$")] = None,
) -> StreamingResponse:
    """Everything that changes and that the caller may see, as server-sent events.

    Resumes after `Last-Event-ID` (or `after`). Where that is older than what is kept, or not of
    this database, an event named `reset` comes first: fetch everything anew.
    """
    stream: EventStream = request.app.state.events
    resume = int(last_event_id) if last_event_id is not None else after
    begin = await asyncio.to_thread(stream.begin, resume)

    async def body() -> AsyncIterator[bytes]:
        if begin.reset:
            yield b"event: reset\ndata: {}\n\n"
        yield b": welcome\n\n"
        async for event in stream.follow(begin.after, caller.principals):
            yield as_sse(event)

    return StreamingResponse(
        body(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


@health.get("/healthz")
async def healthz() -> Response:
    """The process answers."""
    return Response("ok", media_type="text/plain")


@health.get("/readyz")
def readyz(request: Request) -> Response:
    """The database answers too."""
    database: Database = request.app.state.database
    with database.read() as session:
        session.execute(text("SELECT 1"))
    return Response("ok", media_type="text/plain")
