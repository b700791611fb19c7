"""What the service asks of the hub's API: which servers run, to stop one, and who is in a group."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from atoll.kit.errors import UnavailableError

_PAGE: Final = 200


class _HubServer(BaseModel):
    name: str


class _HubUser(BaseModel):
    name: str
    servers: dict[str, _HubServer] = {}


class _HubUsers(BaseModel):
    items: list[_HubUser]


class _HubMember(BaseModel):
    groups: list[str]  # left out for those who may not read it: then nobody is taken for groupless


class HubApi:
    """The hub's API with the service's own token. Blocking: call it from a thread."""

    def __init__(self, api_url: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=api_url,
            headers={
                "Authorization": f"token {token}",
                "Accept": "application/jupyterhub-pagination+json",
            },
            timeout=httpx.Timeout(20.0, connect=3.0),
            trust_env=False,  # no network proxy sees the token
        )

    def stop_server(self, user: str, server: str) -> None:
        """Have the hub stop a server; returns when it has begun. Nothing runs: nothing happens."""
        path = f"users/{quote(user, safe='')}/server"
        if server:
            path = f"users/{quote(user, safe='')}/servers/{quote(server, safe='')}"
        response = self._send("DELETE", path)
        # 400: it is stopping or starting already; 404: the hub knows no such server
        if response.is_error and response.status_code not in (400, 404):
            raise UnavailableError(
                f"The hub refused to stop the server ({response.status_code}).",
                hint="Stop it from the hub's control panel.",
            )

    def running(self) -> set[tuple[str, str]]:
        """(user, server) of every server that the hub holds for running or starting."""
        found: set[tuple[str, str]] = set()
        offset = 0
        while True:
            response = self._send("GET", f"users?state=active&limit={_PAGE}&offset={offset}")
            try:
                page = _HubUsers.model_validate_json(response.content).items
            except ValidationError as error:
                raise UnavailableError(
                    f"The hub answered {response.status_code} where a list of users was asked for."
                ) from error
            found |= {(user.name, name) for user in page for name in user.servers}
            if len(page) < _PAGE:
                return found
            offset += _PAGE

    def groups(self, user: str) -> frozenset[str] | None:
        """The groups that a user is in; None where the hub has no such user."""
        response = self._send("GET", f"users/{quote(user, safe='')}")
        if response.status_code == 404:
            return None
        try:
            return frozenset(_HubMember.model_validate_json(response.content).groups)
        except ValidationError as error:
            raise UnavailableError(
                f"The hub answered {response.status_code} where a user was asked for."
            ) from error

    def close(self) -> None:
        """Close the connections to the hub."""
        self._http.close()

    def _send(self, method: str, path: str) -> httpx.Response:
        try:
            return self._http.request(method, path)
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"The hub does not answer ({type(error).__name__}).",
                hint="It is restarted by itself; try again in a few seconds.",
            ) from error
