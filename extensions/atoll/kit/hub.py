"""Who calls: tokens of JupyterHub, checked with the hub and remembered for ten seconds."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import httpx
from pydantic import BaseModel, ValidationError

from atoll.kit.errors import ForbiddenError, UnauthenticatedError, UnavailableError

USE: Final = "custom:atoll:use"
ADMIN: Final = "custom:atoll:admin"
HUB: Final = "custom:atoll:hub"

REMEMBERED_S: Final = 10.0
_REMEMBERED_MOST: Final = 10_000
_TOKEN_MOST: Final = 64  # JupyterHub refuses longer ones


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and from where: `server` is the calling server's name, None outside of servers.

    `job` is the calling job's id where a token that the service issued to a job was used.
    """

    name: str
    groups: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    server: str | None = None
    job: str | None = None

    @property
    def admin(self) -> bool:
        """Whether the caller administers the platform."""
        return ADMIN in self.scopes

    @property
    def principals(self) -> frozenset[str]:
        """What grants and events name: `user:NAME`, `group:NAME` for each, `admins`, `everyone`."""
        admins = {"admins"} if self.admin else set()
        groups = {f"group:{group}" for group in self.groups}
        return frozenset({f"user:{self.name}", "everyone"} | groups | admins)

    def require(self, scope: str) -> None:
        """Raise ForbiddenError unless the caller holds the scope."""
        if scope not in self.scopes:
            raise ForbiddenError(
                f"This token lacks the scope {scope}.",
                hint="Ask an administrator for the role that holds it, or use another token.",
            )


class _HubUser(BaseModel):
    kind: str
    name: str
    groups: list[str] = []
    scopes: list[str] = []


def caller_from_hub(answer: _HubUser) -> Caller:
    """The caller that the hub's `GET /user` describes.

    Only scopes that are Atoll's own count, and a filter never widens one: `custom:atoll:use` counts
    also for the user alone (`!user=ada`) or in a server's token (`!server=ada/x`), which names the
    calling server. What is held for somebody else, or for a group, is not held.
    """
    scopes = set()
    server = None
    for full in answer.scopes:
        scope, filtered, filter_ = full.partition("!")
        if not scope.startswith("custom:atoll:"):
            continue
        if not filtered:
            scopes.add(scope)
        elif scope == USE and answer.kind == "user":
            kind, _, of = filter_.partition("=")
            owner, slash, name = of.partition("/")
            if owner == answer.name and (kind, slash) in (("user", ""), ("server", "/")):
                scopes.add(scope)
                server = name if slash else server
    return Caller(
        name=answer.name if answer.kind == "user" else f"service:{answer.name}",
        groups=frozenset(answer.groups),
        scopes=frozenset(scopes),
        server=server,
    )


class Issued(Protocol):
    """Identifies the tokens that the service issued itself."""

    async def __call__(self, token: str, *, fresh: bool) -> Caller | None:
        """Who holds it, None for others' tokens; `fresh` where the answer may not be a remembered one."""


class HubAuth:
    """Identifies tokens; those that the service issued itself by `issued`, which is asked first."""

    def __init__(
        self,
        api_url: str,
        *,
        issued: Issued | None = None,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=api_url,
            timeout=httpx.Timeout(10.0, connect=3.0),
            transport=transport,
            trust_env=False,  # no network proxy sees anybody's token
        )
        self._issued = issued
        self._clock = clock
        self._remembered: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Caller]] = {}

    async def identify(self, token: str, *, fresh: bool = False) -> Caller:
        """Who holds this token; `fresh` asks anew even where the answer is remembered.

        Raises UnauthenticatedError where nobody does, UnavailableError where the hub is away.
        """
        if not token or len(token) > _TOKEN_MOST or not token.isascii():
            raise UnauthenticatedError("This is not a token of this platform.")
        if self._issued is not None and (ours := await self._issued(token, fresh=fresh)):
            return ours
        key = hashlib.sha256(token.encode()).digest()
        if not fresh:
            remembered = self._remembered.get(key)
            if remembered is not None and self._clock() - remembered[0] < REMEMBERED_S:
                return remembered[1]
        task = self._asking.get(key)
        if task is None:  # many requests of one page ask once
            task = asyncio.create_task(self._ask(token))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        try:
            caller = await asyncio.shield(task)
        except UnauthenticatedError:
            self._remembered.pop(key, None)
            raise
        self._remembered[key] = (self._clock(), caller)
        self._remembered.move_to_end(key)
        while len(self._remembered) > _REMEMBERED_MOST:
            self._remembered.popitem(last=False)
        return caller

    async def close(self) -> None:
        """Close the connections to the hub."""
        await self._http.aclose()

    async def _ask(self, token: str) -> Caller:
        try:
            response = await self._http.get("user", headers={"Authorization": f"token {token}"})
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"The hub does not answer ({type(error).__name__}), so nobody can be identified.",
                hint="It is restarted by itself; try again in a few seconds.",
            ) from error
        if response.status_code in (401, 403, 404):
            raise UnauthenticatedError(
                "The hub does not know this token; it may have expired or been revoked.",
                hint="Log in again, or restart the server whose token it was.",
            )
        if response.is_server_error:
            raise UnavailableError(
                f"The hub cannot say at the moment who this is ({response.status_code}).",
                hint="Its database may be away; try again in a moment.",
            )
        try:
            return caller_from_hub(_HubUser.model_validate_json(response.content))
        except ValidationError as error:
            raise UnavailableError(
                f"The hub answered {response.status_code} with something that is no user."
            ) from error
