"""Stopping idle servers (they are saved then): the culler's identity, and what runs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

from atoll.kit.home import Home
from atoll.kit.settings import PREFIX

from hub_config.settings import HubSection, HubSettings

_EVERY_LEAST_S: Final = 5
_CONFIGURATION: Final = Path(__file__).with_name("idle_culler_config.py")


def configure(c: Any, settings: HubSettings, home: Home) -> None:
    """Give the culler a token with just its scopes, where there is something to cull.

    In a cluster the hub runs it; on one machine the supervisor does.
    """
    if not wanted(settings.hub):
        return
    culler: dict[str, Any] = {
        "name": "idle-culler",
        "api_token": home.secret("culler-token"),
        "display": False,
    }
    if settings.hub.spawner == "kubernetes":
        culler["command"] = command(settings.hub)
        # the settings that it reads too, where they are in variables
        ours = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
        culler["environment"] = {**ours, "ATOLL_HOME": str(home.path)}
    c.JupyterHub.services.append(culler)
    c.JupyterHub.load_roles.append(
        {
            "name": "idle-culler",
            "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
            "services": ["idle-culler"],
        }
    )


def wanted(settings: HubSection) -> bool:
    """Whether any idle server is ever stopped."""
    return bool(shortest_s(settings))


def shortest_s(settings: HubSection) -> int:
    """The shortest time after which a server counts as idle; 0 where none ever does."""
    own = [one.idle_s for one in settings.profiles.values() if one.idle_s is not None]
    return min(filter(None, (settings.cull_after_s, *own)), default=0)


def command(settings: HubSection) -> list[str]:
    """What runs the culler; its token is in JUPYTERHUB_API_TOKEN."""
    shortest = shortest_s(settings)
    every = max(_EVERY_LEAST_S, shortest // 4)
    return [
        sys.executable,
        "-m",
        "jupyterhub_idle_culler",
        f"--config={_CONFIGURATION}",
        f"--url={settings.api_url.rstrip('/')}",
        f"--timeout={shortest}",
        f"--cull-every={every}",
    ]
