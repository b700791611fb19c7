"""The service's second listener, for Kubernetes alone: HTTPS, and one question about evictions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from atoll.checkpoints.evictions import Evictions, Review
from atoll.kit import web
from atoll.kit.kube.settings import KubernetesSection

_MOST: Final = 1 << 20  # bytes of a question


class _Server(uvicorn.Server):
    """One that leaves the process's signals to the server beside it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield


def app(evictions: Evictions) -> Starlette:
    """The listener's one route."""

    async def eviction(request: Request) -> Response:
        pieces, size = [], 0
        async for piece in request.stream():
            size += len(piece)
            if size > _MOST:
                return Response("too large", status_code=413)
            pieces.append(piece)
        try:
            review = Review.model_validate_json(b"".join(pieces))
        except ValidationError as error:
            return Response(f"no admission review: {error.error_count()} errors", status_code=400)
        return JSONResponse(await asyncio.to_thread(evictions.answer, review))

    return Starlette(routes=[Route("/admission/eviction", eviction, methods=["POST"])])


async def serve(evictions: Evictions, settings: KubernetesSection, host: str) -> None:
    """Listen until cancelled: one of the service's supervised loops."""
    config = uvicorn.Config(
        app(evictions),
        host=host,
        port=settings.admission_port,
        ssl_certfile=settings.admission_certificate,
        ssl_keyfile=settings.admission_key,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_keep_alive=web.KEPT_S,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True  # it closes what it has open, which cancelling it does not
        await serving
