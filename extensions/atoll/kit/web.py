"""The HTTP side of the service: problems, callers, pages, metrics; what every route shares."""

from __future__ import annotations

import logging
import secrets
import time
from typing import Annotated, Final

import fastapi
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from atoll.kit.errors import AtollError, Problem, TooLargeError, UnauthenticatedError
from atoll.kit.hub import HUB, USE, Caller, HubAuth
from atoll.kit.paging import MAX_PAGE

log = logging.getLogger(__name__)

BODY_MOST: Final = 1 << 20
"""Most bytes of a request's body; a route that has to have more says so by `take`."""
KEPT_S: Final = 120
"""Seconds that a connection without requests is kept: longer than callers keep theirs (Kubernetes' API
server 90 s), else a request meets the connection's end, and an eviction that may go on is an error."""

_REQUESTS = Counter("atoll_http_requests", "Requests answered", ["method", "route", "status"])
_SECONDS = Histogram("atoll_http_seconds", "Seconds until the answer began", ["method", "route"])


def problem_response(problem: Problem) -> Response:
    """A problem as a response."""
    return Response(
        problem.model_dump_json(), status_code=problem.status, media_type="application/problem+json"
    )


async def identified(request: Request) -> Caller:
    """The caller; asked of the hub anew before anything that changes something."""
    known: Caller | None = getattr(request.state, "caller", None)
    if known is not None:
        return known
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() not in ("token", "bearer"):
        raise UnauthenticatedError(
            "This request carries no token.",
            hint="Send `Authorization: token …`; `atoll login` sets one up for the command line.",
        )
    auth: HubAuth = request.app.state.auth
    fresh = request.method not in ("GET", "HEAD")
    caller = request.state.caller = await auth.identify(token.strip(), fresh=fresh)
    return caller


def take(request: Request, most: int) -> None:
    """Let this request have a body of up to `most` bytes; whose it is should be known by then."""
    request.state.body_most = most


async def _user(caller: Annotated[Caller, Depends(identified)]) -> Caller:
    caller.require(USE)
    return caller


async def _hub(caller: Annotated[Caller, Depends(identified)]) -> Caller:
    caller.require(HUB)
    return caller


User = Annotated[Caller, Depends(_user)]
"""A route's parameter of this type is open to users (scope `custom:atoll:use`)."""

TheHub = Annotated[Caller, Depends(_hub)]
"""A route's parameter of this type is open to the hub alone (scope `custom:atoll:hub`)."""

Cursor = Annotated[str | None, Query(max_length=200, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="items on the page")]


def create_app(title: str, version: str, description: str) -> FastAPI:
    """An app with problem handlers, metrics and request logs, and no routes of any capability."""
    app = FastAPI(
        title=title,
        version=version,
        description=description,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        responses={"default": {"model": Problem, "description": "A problem"}},
    )
    app.add_exception_handler(AtollError, _on_atoll_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(_TooLarge, _on_too_large)
    app.add_exception_handler(Exception, _on_bug)
    app.add_middleware(_Bounded)
    app.add_middleware(_Measured)
    app.add_api_route("/metrics", _metrics, include_in_schema=False)
    return app


async def _on_atoll_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, AtollError)  # noqa: S101  # registered for this class
    return problem_response(error.problem())


async def _on_invalid_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for this class
    sentences = [
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors()[:10]
    ]
    return problem_response(
        Problem(
            status=422,
            code="invalid",
            title="The request is not valid",
            detail="; ".join(sentences) + ".",
            hint="The API's description is at api/v1/openapi.json.",
        )
    )


async def on_http_error(_request: Request, error: Exception) -> Response:
    """Starlette's own errors (no such route, wrong method) as problems."""
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http")
    return problem_response(
        Problem(status=error.status_code, code=code, title=error.detail, detail=f"{error.detail}.")
    )


async def _on_bug(_request: Request, error: Exception) -> Response:
    incident = secrets.token_hex(4)
    log.error("incident %s", incident, exc_info=error, extra={"incident": incident})
    return problem_response(
        AtollError(
            "The platform met an error of its own; nothing half-done was kept.",
            hint=f"Try again; if it stays, show an administrator the incident {incident}.",
        ).problem()
    )


class _TooLarge(fastapi.HTTPException):
    """A body is too large. FastAPI passes only errors of its own on from the reading of one."""


async def _on_too_large(_request: Request, error: Exception) -> Response:
    assert isinstance(error, _TooLarge)  # noqa: S101  # registered for this class
    return problem_response(TooLargeError(error.detail).problem())


class _Bounded:
    """Refuses bodies over the limit: by what they say of their length, else by what arrives."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):  # no route reads those
            await self._app(scope, receive, send)
            return
        said = Headers(scope=scope).get("content-length", "")
        length = int(said) if said.isdecimal() else 0
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            most = scope.get("state", {}).get("body_most", BODY_MOST)
            if length <= most:
                message = await receive()
                taken += len(message.get("body", b""))
                if taken <= most:
                    return message
            raise _TooLarge(413, f"What was sent is larger than {most / 1e6:.1f} MB.")

        await self._app(scope, bounded, send)


class _Measured:
    """Counts and times requests by route. Plain ASGI, so that streams pass through untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                _REQUESTS.labels(scope["method"], route, message["status"]).inc()
                _SECONDS.labels(scope["method"], route).observe(time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, measured)


async def _metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
