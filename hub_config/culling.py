"""Stopping idle servers (they are saved then): the culler's identity; the supervisor runs it."""

from __future__ import annotations

import sys
from typing import Any, Final

from atoll.kit.home import Home

from hub_config.settings import HubSection

_EVERY_LEAST_S: Final = 5


def configure(c: Any, settings: HubSection, home: Home) -> None:
    """Give the culler a token with just its scopes, where there is something to cull."""
    if not settings.cull_after_s:
        return
    c.JupyterHub.services.append(
        {"name": "idle-culler", "api_token": home.secret("culler-token"), "display": False}
    )
    c.JupyterHub.load_roles.append(
        {
            "name": "idle-culler",
            "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
            "services": ["idle-culler"],
        }
    )


def command(settings: HubSection) -> list[str]:
    """What runs the culler; its token is in JUPYTERHUB_API_TOKEN."""
    every = max(_EVERY_LEAST_S, settings.cull_after_s // 4)
    return [
        sys.executable,
        "-m",
        "jupyterhub_idle_culler",
        f"--url={settings.api_url.rstrip('/')}",
        f"--timeout={settings.cull_after_s}",
        f"--cull-every={every}",
    ]
