"""Where the hub listens, what it keeps, and the proxy that runs beside it."""

from __future__ import annotations

from typing import Any

from atoll.kit.home import Home

from hub_config.settings import HubSection


def configure(c: Any, settings: HubSection, home: Home) -> None:
    """The hub listens on this machine alone; the supervisor runs the proxy."""
    hub = c.JupyterHub
    hub.bind_url = settings.public_url
    hub.hub_bind_url = f"http://127.0.0.1:{settings.port}"
    hub.log_level = settings.log_level.upper()
    hub.db_url = f"sqlite:///{home.hub / 'jupyterhub.sqlite'}"
    hub.upgrade_db = True  # with a copy of the old one beside it
    hub.cookie_secret = bytes.fromhex(home.secret("cookie-secret"))
    # A restart of the hub ends neither servers nor the proxy.
    hub.cleanup_servers = False
    hub.cleanup_proxy = False
    hub.init_spawners_timeout = 2  # seconds it waits for its servers' answers before it listens

    proxy = c.ConfigurableHTTPProxy
    proxy.should_start = False
    proxy.api_url = f"http://127.0.0.1:{settings.proxy_api_port}"
    proxy.auth_token = home.secret("proxy-token")
