"""How servers are started: the local spawner, its page, and what servers get to know."""

from __future__ import annotations

from typing import Any

from atoll.hub import options, profiles
from atoll.hub.local import LocalSpawner
from atoll.hub.templates import FOLDER
from atoll.kit.home import Home
from atoll.kit.variables import passed_on

from hub_config.settings import HubSection


def configure(c: Any, settings: HubSection, home: Home) -> None:
    """Servers are processes of this machine, prepared and saved by the service."""
    hub = c.JupyterHub
    hub.spawner_class = LocalSpawner
    hub.template_paths = [str(FOLDER)]
    hub.allow_named_servers = True
    hub.named_server_limit_per_user = settings.named_servers
    # answer a start at once: the progress page says what is happening from the first moment
    hub.tornado_settings = {"slow_spawn_timeout": 0}

    spawner = c.LocalSpawner
    spawner.service_url = settings.service_url
    spawner.service_token = home.secret("hub-token")
    spawner.public_service_url = f"{settings.public_url}services/atoll/"
    spawner.homes = str(home.homes)
    spawner.logs = str(home.logs / "servers")
    spawner.ready_timeout_s = settings.start_timeout_s
    spawner.stop_grace_s = settings.stop_grace_s
    spawner.start_timeout = 86400  # waiting for a save is no failure; the process has its own limit
    spawner.poll_interval = 3  # a look costs microseconds, and a server that died is seen soon
    spawner.consecutive_failure_limit = 0  # a hub that ends because servers failed helps nobody
    spawner.default_url = "/lab"
    spawner.env_keep = list(passed_on())
    spawner.server_token_scopes = server_token_scopes
    spawner.options_form = options.form
    spawner.options_from_form = options.from_form
    spawner.apply_user_options = options.accept
    spawner.profiles = profiles.Offers(settings.profiles)


def server_token_scopes(spawner: Any) -> list[str]:
    """A server's token: its own activity, access to itself, and the platform as this very server."""
    server = f"{spawner.user.name}/{spawner.name}"
    return [
        "users:activity!user",
        f"access:servers!server={server}",
        f"custom:atoll:use!server={server}",
    ]
