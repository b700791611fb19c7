"""The whole service on a real database behind HTTP, beside a hub that knows a few tokens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from atoll.apps.service import build
from atoll.apps.settings import ServiceSection, ServiceSettings
from atoll.datasets import catalogue
from atoll.kit.home import Home
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from tests.databases import url_of
from tests.listening import listening, server_for

USERS = {
    "ada": {"kind": "user", "name": "ada", "groups": ["flyers"], "scopes": ["custom:atoll:use"]},
    "ada-server": {"kind": "user", "name": "ada", "scopes": ["custom:atoll:use!server=ada/big"]},
    "ada-default": {"kind": "user", "name": "ada", "scopes": ["custom:atoll:use!server=ada/"]},
    "bob": {"kind": "user", "name": "bob", "scopes": ["custom:atoll:use!user=bob"]},
    "noscope": {"kind": "user", "name": "eve", "scopes": ["read:users!user=eve"]},
    "admin": {"kind": "user", "name": "root", "scopes": ["custom:atoll:use", "custom:atoll:admin"]},
    "hub": {"kind": "service", "name": "atoll-hub", "scopes": ["custom:atoll:hub"]},
}
"""Tokens that the hub knows."""


async def _user(request: Request) -> JSONResponse:
    token = request.headers.get("Authorization", "").removeprefix("token ")
    known = USERS.get(token)
    return JSONResponse(known if known else {"status": 403}, 200 if known else 403)


async def _users(_: Request) -> JSONResponse:
    return JSONResponse({"items": []})


hub = Starlette(routes=[Route("/hub/api/user", _user), Route("/hub/api/users", _users)])


@contextmanager
def served(app: ASGIApp, tls: tuple[Path, Path] | None = None) -> Iterator[str]:
    """Serve the app on a free port of 127.0.0.1; gives its address. `tls`: a certificate and its key."""
    certificate, key = tls or (None, None)
    server = server_for(app, timeout_graceful_shutdown=1, ssl_certfile=certificate, ssl_keyfile=key)
    with listening() as ear:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [ear]})
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{ear.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


@contextmanager
def no_flights() -> Iterator[None]:
    """Meanwhile the package of `flights` and `weather` counts as not installed.

    To write and probe them costs a service's start seconds of a core: they are for tests whose services
    last, and for those of datasets.
    """
    with mock.patch.object(catalogue, "package_data", return_value=None):
        yield


@contextmanager
def whole_service(
    home: Home, tls: tuple[Path, Path] | None = None, **sections: BaseModel
) -> Iterator[str]:
    """The service with everything it runs; gives the address below which `api/v1` is.

    `sections` are settings that differ from their defaults, such as `nodes`.
    """
    home.create()
    with served(hub) as address:
        section = ServiceSection(hub_api_url=f"{address}/hub/api/", database=url_of(home))
        config = ServiceSettings.model_validate({"service": section, **sections})
        with served(build(home, config), tls) as url:
            yield f"{url}/services/atoll"
