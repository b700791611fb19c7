"""What nodes pull saved environments with: a login that opens nothing but pulls, in the platform's part
of the registry. The registry sends them here (`auth.token.realm`), as distribution's token
authentication has it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from atoll.checkpoints.registry_tokens import RegistryTokens
from atoll.checkpoints.settings import RegistrySettings
from atoll.kit.errors import NotFoundError, UnauthenticatedError
from atoll.kit.home import Home

PULLER: Final = "puller"
"""The login's name; its password is the secret `registry-puller`."""
SECRET: Final = "registry-puller"  # noqa: S105  # the name of its file

router = APIRouter(include_in_schema=False)


class Answer(BaseModel):
    """A registry token; `token` and `access_token` are the same, for clients of either kind."""

    token: str
    access_token: str
    expires_in: int


class Pulls:
    """Issues tokens to nodes."""

    def __init__(self, home: Home, settings: RegistrySettings) -> None:
        self._password = home.secret(SECRET)
        self._prefix = f"{settings.prefix}/"
        self._tokens = RegistryTokens(
            home, issuer=settings.issuer, service=settings.service, lifetime_s=settings.token_s
        )

    def check(self, authorization: str) -> None:
        """Raise UnauthenticatedError for anybody but the nodes' login."""
        scheme, _, packed = authorization.partition(" ")
        try:
            said = base64.b64decode(packed.strip(), validate=True)
        except (binascii.Error, ValueError):
            said = b""
        right = f"{PULLER}:{self._password}".encode()
        if scheme.lower() != "basic" or not hmac.compare_digest(said, right):
            raise UnauthenticatedError("This login opens nothing in the registry.")

    def token(self, scopes: list[str]) -> Answer:
        """A token that pulls what is asked for; raises NotFoundError where that is not the platform's."""
        names = [parts[1] for scope in scopes if len(parts := scope.split(":")) == 3]
        ours = [name for name in names if name.startswith(self._prefix)]
        if not ours:
            raise NotFoundError("The platform keeps nothing there.")
        issued = self._tokens.issue(ours[0], "pull", save="node", pull_from=ours[1:])
        left = int(issued.expires - time.time())
        return Answer(token=issued.value, access_token=issued.value, expires_in=left)


@router.get("/registry/token")
def pull_token(
    request: Request,
    scope: Annotated[
        list[str] | None, Query(max_length=20, description="repository:NAME:pull")
    ] = None,
) -> Answer:
    """A token with which a node pulls; never one that pushes, whatever is asked for."""
    pulls: Pulls | None = request.app.state.pulls
    if pulls is None:
        raise NotFoundError("This platform issues no tokens for a registry.")
    pulls.check(request.headers.get("Authorization", ""))
    return pulls.token([one for text in scope or () for one in text.split(" ")])


def pulls(home: Home, settings: RegistrySettings) -> Pulls | None:
    """What the settings ask for; None where the registry asks for no token."""
    return Pulls(home, settings) if settings.address and settings.issuer else None
