"""Bodies of requests that hold a notebook: bounded, and read beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError

from atoll.kit import web
from atoll.kit.errors import TooLargeError

_DRAINED_MOST: Final = 1 << 30


class NotebookRoute(APIRoute):
    """A route whose body may be large: nobody else waits while it is read and checked.

    The model is made from the bytes by a thread, so that what FastAPI is given is whole already.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the reading."""
        handler = super().get_route_handler()
        if self.body_field is None or self.body_field.field_info.annotation is None:
            return handler
        adapter: TypeAdapter[Any] = TypeAdapter(self.body_field.field_info.annotation)

        async def reading(request: Request) -> Response:
            await web.identified(request)
            web.take(request, _DRAINED_MOST)
            content = await _bounded(request, request.app.state.jobs.most_body)
            model = await asyncio.to_thread(read, adapter, content) if content else None
            return await handler(_Read(request, content, model))

        return reading


class _Read(Request):
    """A request whose body was read."""

    def __init__(self, request: Request, content: bytes, model: object) -> None:
        super().__init__(request.scope, request.receive)
        self._body = content
        self._json = model


def read(adapter: TypeAdapter[Any], content: bytes) -> object:
    """The model in the bytes; raises RequestValidationError. Takes its time where they are many."""
    try:
        return adapter.validate_json(content)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise RequestValidationError(
            [{**problem, "loc": ("body", *problem["loc"])} for problem in problems]
        ) from error


async def _bounded(request: Request, most: int) -> bytes:
    """The body; what is too large is read to its end, so that the answer arrives."""
    pieces: list[bytes] = []
    taken = 0
    async for piece in request.stream():
        taken += len(piece)
        if taken <= most:
            pieces.append(piece)
        elif taken > _DRAINED_MOST:
            break
        else:
            pieces.clear()
    if taken > most:
        raise TooLargeError(
            f"What was sent is larger than {most / 1e6:.1f} MB.",
            hint="Clear the notebook's outputs, or give fewer files, and submit it again.",
        )
    return b"".join(pieces)
