"""The platform as a user's server sees it: where the service is, and who this server is to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx

from atoll.kit.errors import UnavailableError

API_VERSION: Final = "v1"

NOTICE: Final = "ATOLL_NOTICE"
"""The variable with a sentence that the user must see: the lab and terminals show it."""

_TIMEOUT: Final = httpx.Timeout(60.0, connect=5.0)
"""Long-polls last 25 s and event streams beat every 15 s, so a silent minute is a dead one."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What the hub tells a server through its environment; `url` is empty outside of Atoll."""

    url: str
    token: str
    user: str
    server: str
    hub_prefix: str
    notice: str = ""

    @classmethod
    def find(cls, environ: Mapping[str, str] = os.environ) -> Platform:
        """The platform that the environment names."""
        url = environ.get("ATOLL_URL", "")
        return cls(
            url=url if not url or url.endswith("/") else url + "/",
            token=environ.get("JUPYTERHUB_API_TOKEN", ""),
            user=environ.get("JUPYTERHUB_USER", ""),
            server=environ.get("JUPYTERHUB_SERVER_NAME", ""),
            hub_prefix=environ.get("JUPYTERHUB_BASE_URL", "/") + "hub/",
            notice=environ.get(NOTICE, ""),
        )

    @property
    def present(self) -> bool:
        """Whether there is a platform to speak to."""
        return bool(self.url and self.token)

    def address(self, path: str) -> str:
        """The service's address of a checked path."""
        return f"{self.url}api/{API_VERSION}/{path}"

    def client(self) -> httpx.AsyncClient:
        """A client that carries this server's token.

        It follows no redirect and uses no proxy of the environment: both would show the token.
        It keeps no cookie: one client serves every caller.
        """
        return httpx.AsyncClient(
            headers={"Authorization": f"token {self.token}", "Accept-Encoding": "identity"},
            timeout=_TIMEOUT,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            trust_env=False,
        )


def absent() -> UnavailableError:
    """What a server outside of Atoll answers."""
    return UnavailableError(
        "This server was not started by Atoll (ATOLL_URL is not set), so there is no platform.",
        hint="Start it from the hub of an Atoll installation.",
    )


def away() -> UnavailableError:
    """What is said while the service does not answer."""
    return UnavailableError(
        "The platform does not answer. Your files and running kernels are not affected.",
        hint="It comes back by itself; this page tries again every few seconds.",
    )
