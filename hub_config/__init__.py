"""The hub's configuration: one concern a file, each `configure(c, settings, home)`."""

from __future__ import annotations

from typing import Any

from atoll.kit.home import Home
from atoll.kit.settings import load

from hub_config import auth, culling, extra, proxy, services, spawners
from hub_config.settings import HubSettings


def configure(c: Any, home: Home | None = None) -> None:
    """Fill JupyterHub's config object `c` from the settings of the home."""
    home = home or Home.find()
    settings = load(HubSettings, home.settings)
    for concern in (proxy, auth, services, spawners, culling, extra):
        concern.configure(c, settings, home)
