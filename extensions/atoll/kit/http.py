"""Calls to the service: described once, sent by a sync or an async connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from atoll.kit.errors import (
    AtollError,
    InvalidError,
    Problem,
    TooLargeError,
    UnavailableError,
    from_problem,
)
from atoll.kit.lean import httpx
from atoll.kit.paging import Page

T = TypeVar("T")

_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
_AGAIN_S: Final = 0.25  # between attempts while the platform is away
_GATEWAY: Final = (502, 503, 504)  # what a proxy says for a service that is away
_TOO_LARGE: Final = 413  # what it says of a request longer than it passes on
_ADAPTERS: dict[object, TypeAdapter[object]] = {}


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request to the service and the type of its answer; `path` is relative to `/api/v1`.

    `into` is a pydantic type for JSON answers, `bytes` for raw ones, `type(None)` for empty ones.
    """

    method: str
    path: str
    into: type[T]
    body: BaseModel | None = None
    params: Mapping[str, str | int | bool] = field(default_factory=dict)
    timeout_s: float | None = None

    def request(self) -> dict[str, object]:
        """Keyword arguments for `httpx.Client.request`."""
        arguments: dict[str, object] = {
            "method": self.method,
            "url": self.path.lstrip("/"),
            "params": dict(self.params),
        }
        if self.body is not None:
            arguments["content"] = _json(self.body)
            arguments["headers"] = {"Content-Type": "application/json"}
        if self.timeout_s is not None:
            arguments["timeout"] = httpx.Timeout(self.timeout_s, connect=5.0)
        return arguments

    def read(self, response: httpx.Response) -> T:
        """The answer, typed; raises the AtollError that a problem answer describes."""
        if response.is_error:
            raise _error(response)
        if self.into is type(None):
            return None
        if self.into is bytes:
            return response.content  # type: ignore[return-value]  # T is bytes here
        adapter = _ADAPTERS.setdefault(self.into, TypeAdapter(self.into))
        try:
            return adapter.validate_json(response.content)  # type: ignore[return-value]
        except ValidationError as error:
            raise UnavailableError(
                f"{response.request.url} answered {response.status_code} with something unexpected.",
                hint="Is this the address of the platform?",
            ) from error


def _json(body: BaseModel) -> str:
    try:
        return body.model_dump_json(exclude_unset=True)
    except ValueError as error:
        # half a character of UTF-16, as what was cut off may have at its end
        raise InvalidError(
            "This holds text or numbers that JSON cannot carry, so it cannot be sent."
        ) from error


def _error(response: httpx.Response) -> AtollError:
    try:
        return from_problem(Problem.model_validate_json(response.content))
    except ValidationError:
        said = f"{response.request.url} answered {response.status_code} with no explanation."
        if response.status_code == _TOO_LARGE:
            return TooLargeError(
                said, hint="Has a proxy before the platform a limit for what is sent?"
            )
        if response.status_code in _GATEWAY:
            return UnavailableError(
                f"The platform does not answer at the moment ({response.request.url} answered"
                f" {response.status_code}).",
                hint="It is restarted by itself; try again in a few seconds. If it stays so,"
                " `atoll status` tells what is up.",
            )
        return UnavailableError(
            said,
            hint="Is the address right, and is the platform up? `atoll status` tells.",
        )


def _unreachable(url: httpx.URL, error: httpx.HTTPError) -> UnavailableError:
    return UnavailableError(
        f"The platform at {url} does not answer ({type(error).__name__}).",
        hint="Is the address right, and is it up? `atoll status` tells.",
    )


def _away(answer: httpx.Response | httpx.HTTPError, method: str) -> bool:
    """Whether this says that the service is away and the request can be sent again.

    A request that was not delivered always can; one that may have been, only where it reads.
    """
    if isinstance(answer, httpx.HTTPError):
        return isinstance(answer, httpx.ConnectError) or method == "GET"
    return answer.status_code in _GATEWAY and method == "GET"


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"token {token}"}


class Connection:
    """A sync connection to one service: `connection.send(call)` returns the call's answer.

    A service that is away for a moment, as while it is started again, is asked anew for
    `patience_s`; what changes something is sent again only where it cannot have arrived. The
    platform's own calls are `direct`: whatever the environment says, no network proxy sees them.
    """

    def __init__(
        self, url: str, token: str, *, patience_s: float = 0.0, direct: bool = False
    ) -> None:
        self._http = httpx.Client(
            base_url=url, headers=_headers(token), timeout=_TIMEOUT, trust_env=not direct
        )
        self._patience_s = patience_s

    def send(self, call: Call[T]) -> T:
        """Send one call; raises AtollError, UnavailableError where nothing answers."""
        deadline = time.monotonic() + self._patience_s
        while _away(answer := self._try(call), call.method) and time.monotonic() < deadline:
            time.sleep(_AGAIN_S)
        if isinstance(answer, httpx.HTTPError):
            raise _unreachable(self._http.base_url, answer) from answer
        return call.read(answer)

    def _try(self, call: Call[T]) -> httpx.Response | httpx.HTTPError:
        try:
            return self._http.request(**call.request())  # type: ignore[arg-type]
        except httpx.HTTPError as error:
            return error

    def every(
        self, page: Callable[[str | None], Call[Page[T]]], most: int | None = None
    ) -> list[T]:
        """The items of a list, page after page; at most `most`. `page` makes a call from a cursor."""
        found: list[T] = []
        cursor: str | None = None
        while True:
            answer = self.send(page(cursor))
            found += answer.items
            cursor = answer.next
            if cursor is None or (most is not None and len(found) >= most):
                return found[:most]

    def close(self) -> None:
        """Close the connection's sockets."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncConnection:
    """An async connection to one service; `direct` as for the sync one."""

    def __init__(self, url: str, token: str, *, direct: bool = False) -> None:
        self._http = httpx.AsyncClient(
            base_url=url, headers=_headers(token), timeout=_TIMEOUT, trust_env=not direct
        )

    async def send(self, call: Call[T]) -> T:
        """Send one call; raises AtollError, UnavailableError where nothing answers."""
        try:
            response = await self._http.request(**call.request())  # type: ignore[arg-type]
        except httpx.HTTPError as error:
            raise _unreachable(self._http.base_url, error) from error
        return call.read(response)

    async def close(self) -> None:
        """Close the connection's sockets."""
        await self._http.aclose()
