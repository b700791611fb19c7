"""Roles, scopes, and the services that call the hub: each with the least that it needs."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from atoll.kit.home import Home
from atoll.kit.hub import ADMIN, HUB, USE

from hub_config.settings import HubSettings


def configure(c: Any, settings: HubSettings, home: Home) -> None:
    """Users may use the platform, administrators may administer it, services do their own work."""
    hub = c.JupyterHub
    hub.custom_scopes = {
        USE: {"description": "Use the platform: environments, datasets, jobs."},
        ADMIN: {"description": "Administer the platform: see and change what belongs to others."},
        HUB: {"description": "Prepare and settle servers, as the hub does."},
    }
    hub.services = [
        {
            "name": "atoll",
            "url": _service(settings),
            "api_token": home.secret("service-token"),
            "display": False,  # it has no page
        },
        {"name": "atoll-hub", "api_token": home.secret("hub-token"), "display": False},
    ]
    hub.load_roles = [
        {"name": "user", "scopes": ["self", USE]},
        {
            "name": "atoll-admin",
            "description": "Administers the platform",
            "scopes": [ADMIN],
            "users": settings.hub.administrators,
        },
        # which servers run, stopping one, and the groups of a job's user
        {
            "name": "atoll-service",
            "scopes": ["list:users", "read:users:groups", "read:servers", "delete:servers"],
            "services": ["atoll"],
        },
        # the hub's own calls; it reads what users saved, for the page on which they start servers
        {"name": "atoll-hub", "scopes": [HUB, USE, ADMIN], "services": ["atoll-hub"]},
    ]
    if settings.hub.spawner == "local":
        _supervisor(hub, home)


def _supervisor(hub: Any, home: Home) -> None:
    """It stops servers before it ends, and renews the routes of a restarted proxy."""
    hub.services.append(
        {"name": "atoll-up", "api_token": home.secret("up-token"), "display": False}
    )
    hub.load_roles.append(
        {
            "name": "atoll-up",
            "scopes": ["list:users", "read:servers", "delete:servers", "proxy"],
            "services": ["atoll-up"],
        }
    )


def _service(settings: HubSettings) -> str:
    """Where the proxy finds the service, without its path."""
    if settings.hub.spawner == "local":
        return f"http://127.0.0.1:{settings.hub.service_port}"
    address = urlsplit(settings.kubernetes.service_url)
    return f"{address.scheme}://{address.netloc}"
