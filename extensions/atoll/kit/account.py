"""Who the caller is to the platform, and what a person asks of the hub itself: a token, a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from atoll.kit.errors import (
    AtollError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from atoll.kit.http import Call

_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
_START_TIMEOUT: Final = httpx.Timeout(60.0, connect=5.0)  # between two lines of progress


class Me(BaseModel):
    """Who the platform holds the caller for."""

    name: str
    admin: bool
    groups: list[str]
    server: str | None  # the calling server's name, None outside of servers
    job: str | None = None  # the calling job's id
    scopes: list[str]


def me() -> Call[Me]:
    """Who the caller is."""
    return Call("GET", "me", Me)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token that the hub made."""

    token: str = field(repr=False)
    id: str


class StartStep(BaseModel):
    """A line of a server's progress while it starts."""

    progress: int = 0  # per cent
    message: str = ""
    ready: bool = False
    failed: bool = False


class _HubError(BaseModel):
    message: str = ""


def issue_token(hub_url: str, user: str, password: str, *, note: str, days: int) -> IssuedToken:
    """Have the hub make a token for somebody who knows the password; it ends after `days`."""
    body = {
        "auth": {"username": user, "password": password},
        "note": note,
        "expires_in": days * 86400,
    }
    with _hub(hub_url, "") as http:
        response = _send(http, "POST", f"users/{quote(user, safe='')}/tokens", body)
    if response.status_code in (401, 403, 404):
        raise UnauthenticatedError(
            f"The hub does not take this password for {user!r}.",
            hint="Who never logged in must do so once in the browser, and administrators have a"
            f" password of their own. Any other way: make a token at {hub_url}token and use"
            " --with-token.",
        )
    try:
        found = response.json()
        return IssuedToken(token=found["token"], id=found["id"])
    except (ValueError, KeyError, TypeError) as error:
        raise _strange(response) from error


def revoke_token(hub_url: str, user: str, token: str, token_id: str) -> None:
    """End a token; a token that is gone already is none to end."""
    with _hub(hub_url, token) as http:
        response = _send(http, "DELETE", f"users/{quote(user, safe='')}/tokens/{token_id}")
    if response.is_error and response.status_code not in (403, 404):
        raise _strange(response)


def start_server(
    hub_url: str, token: str, user: str, server: str, options: dict[str, str]
) -> Iterator[StartStep]:
    """Start a server; gives each line of its progress, of which the last is `ready`.

    Raises ConflictError where it runs already, UnavailableError with the reason where it fails.
    """
    path = f"users/{quote(user, safe='')}/server"
    if server:
        path = f"users/{quote(user, safe='')}/servers/{quote(server, safe='')}"
    with _hub(hub_url, token) as http:
        response = _send(http, "POST", path, {"user_options": options})
        if response.is_error:
            raise _refused(response)
        yield from _progress(http, f"{path}/progress")


def _progress(http: httpx.Client, path: str) -> Iterator[StartStep]:
    try:
        with http.stream("GET", path, timeout=_START_TIMEOUT) as response:
            if response.is_error:
                response.read()
                raise _refused(response)
            for line in response.iter_lines():
                if not line.startswith("data:"):
                    continue
                step = StartStep.model_validate(json.loads(line.removeprefix("data:")))
                if step.failed:
                    raise UnavailableError(
                        step.message or "The server did not start.",
                        hint="Your saved environments are safe; `atoll servers list` tells more.",
                    )
                yield step
                if step.ready:
                    return
    except httpx.HTTPError as error:
        raise UnavailableError(f"The hub went away ({type(error).__name__}).") from error


def _hub(hub_url: str, token: str) -> httpx.Client:
    headers = {"Authorization": f"token {token}"} if token else {}
    return httpx.Client(base_url=f"{hub_url}api/", headers=headers, timeout=_TIMEOUT)


def _send(http: httpx.Client, method: str, path: str, body: object = None) -> httpx.Response:
    try:
        return http.request(method, path, json=body)
    except httpx.HTTPError as error:
        raise UnavailableError(
            f"The hub at {http.base_url} does not answer ({type(error).__name__}).",
            hint="Is the address right, and is the platform up? `atoll status` tells.",
        ) from error


def _refused(response: httpx.Response) -> AtollError:
    try:
        message = _HubError.model_validate_json(response.content).message
    except ValidationError:
        return _strange(response)
    if response.status_code in (401, 403):
        return ForbiddenError(
            message or "The hub does not allow this.", hint="`atoll whoami` tells who you are."
        )
    if response.status_code == 404:
        return NotFoundError(message or "The hub knows no such user or server.")
    if response.status_code in (400, 409):
        return ConflictError(message or "The hub refused.")
    return UnavailableError(message or f"The hub answered {response.status_code}.")


def _strange(response: httpx.Response) -> UnavailableError:
    return UnavailableError(
        f"{response.request.url} answered {response.status_code} with something unexpected.",
        hint="Is this the address of the platform?",
    )
