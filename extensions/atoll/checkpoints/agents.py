"""Who is the agent of which node: by a secret of a single host, or by Kubernetes' word for its pod."""

from __future__ import annotations

import hashlib
import hmac
import ssl
import time
from collections.abc import Callable
from typing import Final, Protocol

import httpx
from pydantic import BaseModel, ValidationError

from atoll.checkpoints.settings import NodeSettings
from atoll.kit.errors import UnavailableError
from atoll.kit.home import Home

SECRET: Final = "agent-token"  # noqa: S105  # the name of its file
NODE_NAME: Final = "authentication.kubernetes.io/node-name"
"""The claim that binds a pod's token to its node (Kubernetes 1.32 and later)."""

_TOKEN_MOST: Final = 16_384
_REMEMBERED_S: Final = 10.0
_REMEMBERED_MOST: Final = 10_000


class Authenticator(Protocol):
    """Tells agents from everybody else."""

    async def node(self, token: str) -> str | None:
        """The node whose agent holds this token, None where nobody's does.

        Raises UnavailableError where it cannot be found out now.
        """
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class Nobody:
    """There are no agents."""

    async def node(self, token: str) -> str | None:
        """None."""
        del token
        return None

    async def close(self) -> None:
        """Nothing is open."""


class TokenFile:
    """The agent of this very machine, by the home's secret `agent-token`."""

    def __init__(self, home: Home, name: str) -> None:
        self._secret = home.secret(SECRET)
        self._name = name

    async def node(self, token: str) -> str | None:
        """This machine's name, for its token."""
        same = hmac.compare_digest(token.encode("utf-8", "replace"), self._secret.encode())
        return self._name if same else None

    async def close(self) -> None:
        """Nothing is open."""


class _User(BaseModel):
    username: str = ""
    extra: dict[str, list[str]] = {}


class _Status(BaseModel):
    authenticated: bool = False
    audiences: list[str] = []
    user: _User = _User()


class _Review(BaseModel):
    status: _Status = _Status()


class TokenReview:
    """Agents in pods, by their projected tokens, which Kubernetes binds to pod and node.

    The service account of the service may create `tokenreviews` and nothing else is needed.
    """

    def __init__(
        self,
        settings: NodeSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        namespace, _, name = settings.service_account.partition(":")
        self._account = f"system:serviceaccount:{namespace}:{name}"
        self._settings = settings
        self._clock = clock
        self._remembered: dict[bytes, tuple[float, str]] = {}
        verify = (
            ssl.create_default_context(cafile=str(settings.api_ca))
            if settings.api_url.startswith("https:") and transport is None
            else True
        )
        self._http = httpx.AsyncClient(
            base_url=settings.api_url, verify=verify, transport=transport, timeout=10.0
        )

    async def node(self, token: str) -> str | None:
        """The node that the token's pod is bound to; remembered for ten seconds."""
        if not token or len(token) > _TOKEN_MOST or not token.isascii() or token.count(".") != 2:
            return None  # no JSON web token: Kubernetes need not be asked
        key = hashlib.sha256(token.encode()).digest()
        known = self._remembered.get(key)
        if known is not None and self._clock() - known[0] < _REMEMBERED_S:
            return known[1]
        node = self._node((await self._review(token)).status)
        if node is not None:
            if len(self._remembered) >= _REMEMBERED_MOST:
                self._remembered.clear()
            self._remembered[key] = (self._clock(), node)
        return node

    async def close(self) -> None:
        """Close the connections to Kubernetes."""
        await self._http.aclose()

    def _node(self, status: _Status) -> str | None:
        if not status.authenticated or self._settings.audience not in status.audiences:
            return None
        if status.user.username != self._account:
            return None
        names = status.user.extra.get(NODE_NAME, [])
        return names[0] if len(names) == 1 and names[0] else None

    async def _review(self, token: str) -> _Review:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self._settings.audience]},
        }
        try:
            own = self._settings.api_token.read_text("ascii").strip()  # it is renewed in its place
            answer = await self._http.post(
                "/apis/authentication.k8s.io/v1/tokenreviews",
                json=body,
                headers={"Authorization": f"Bearer {own}"},
            )
            answer.raise_for_status()
            return _Review.model_validate_json(answer.content)
        except (httpx.HTTPError, ValidationError, OSError) as error:
            raise UnavailableError(
                f"Kubernetes cannot be asked who an agent is ({type(error).__name__}).",
                hint="The service's account needs to create tokenreviews.authentication.k8s.io.",
            ) from error


def authenticator(home: Home, settings: NodeSettings) -> Authenticator:
    """The one that the settings ask for."""
    if settings.service_account:
        return TokenReview(settings)
    return TokenFile(home, settings.name) if settings.name else Nobody()
