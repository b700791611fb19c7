"""How servers are started: what all spawners share, and the local one."""

from __future__ import annotations

from typing import Any

from atoll.hub import options, profiles
from atoll.hub.templates import FOLDER
from atoll.kit.home import Home
from atoll.kit.variables import passed_on

from hub_config import kubernetes
from hub_config.settings import HubSettings


def configure(c: Any, settings: HubSettings, home: Home) -> None:
    """Servers are prepared and saved by the service, and carried out by the spawner of the settings."""
    hub = c.JupyterHub
    hub.template_paths = [str(FOLDER)]
    hub.logo_file = str(FOLDER / "logo.svg")
    hub.allow_named_servers = True
    hub.named_server_limit_per_user = settings.hub.named_servers
    # answer a start at once: the progress page says what is happening from the first moment
    hub.tornado_settings = {"slow_spawn_timeout": 0}

    spawner = c.Spawner
    spawner.start_timeout = 86400  # waiting for a save is no failure; the server has its own limit
    spawner.consecutive_failure_limit = 0  # a hub that ends because servers failed helps nobody
    spawner.default_url = "/lab"
    spawner.server_token_scopes = server_token_scopes
    spawner.options_form = options.form
    spawner.options_from_form = options.from_form
    spawner.apply_user_options = options.accept
    c.SavingMixin.service_token = home.secret("hub-token")
    if settings.hub.spawner == "kubernetes":
        kubernetes.configure(c, settings, home)
    else:
        _local(c, settings, home)


def _local(c: Any, settings: HubSettings, home: Home) -> None:
    """Servers are processes of this machine."""
    from atoll.hub.local import LocalSpawner

    c.JupyterHub.spawner_class = LocalSpawner
    spawner = c.LocalSpawner
    spawner.service_url = settings.hub.service_url
    spawner.public_service_url = f"{settings.hub.public_url}services/atoll/"
    spawner.homes = str(home.homes)
    spawner.logs = str(home.logs / "servers")
    spawner.ready_timeout_s = settings.hub.start_timeout_s
    spawner.stop_grace_s = settings.hub.stop_grace_s
    spawner.poll_interval = 3  # a look costs microseconds, and a server that died is seen soon
    spawner.env_keep = list(passed_on())
    spawner.profiles = profiles.Offers(settings.hub.profiles)


def server_token_scopes(spawner: Any) -> list[str]:
    """A server's token: its own activity, access to itself, and the platform as this very server."""
    server = f"{spawner.user.name}/{spawner.name}"
    return [
        "users:activity!user",
        f"access:servers!server={server}",
        f"custom:atoll:use!server={server}",
    ]
