"""Where the hub listens, what it keeps, and the proxy that runs beside it."""

from __future__ import annotations

from typing import Any

from atoll.kit.engines import network
from atoll.kit.home import Home

from hub_config.settings import HubSettings


def configure(c: Any, settings: HubSettings, home: Home) -> None:
    """On one machine the hub listens for that machine alone; somebody else runs the proxy."""
    ours = settings.hub
    hub = c.JupyterHub
    hub.bind_url = ours.public_url
    hub.hub_bind_url = f"http://{ours.host}:{ours.port}"
    if ours.connect_url:
        hub.hub_connect_url = ours.connect_url
    hub.log_level = ours.log_level.upper()
    hub.db_url = ours.database or f"sqlite:///{home.hub / 'jupyterhub.sqlite'}"
    if ours.database.startswith("postgresql"):
        hub.db_kwargs = {"connect_args": network(ours.database)}
    hub.upgrade_db = True  # with a copy of the old one beside it, where it is SQLite
    hub.cookie_secret = bytes.fromhex(home.secret("cookie-secret"))
    # A restart of the hub ends neither servers nor the proxy.
    hub.cleanup_servers = False
    hub.cleanup_proxy = False
    hub.init_spawners_timeout = 2  # seconds it waits for its servers' answers before it listens

    if ours.spawner == "kubernetes":
        hub.proxy_class = "atoll.hub.proxy.RemindedProxy"
    proxy = c.ConfigurableHTTPProxy
    proxy.should_start = False
    proxy.api_url = ours.proxy_api_url or f"http://127.0.0.1:{ours.proxy_api_port}"
    proxy.auth_token = home.secret("proxy-token")
