"""What the supervisor runs: proxy, hub, service, and the culler where idle servers are stopped."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BaseModel, Field

import atoll
from atoll.apps import proxy_install
from atoll.apps.addresses import Addresses
from atoll.apps.children import Program
from atoll.kit.home import Home
from atoll.kit.settings import PREFIX, Section
from hub_config import culling
from hub_config.settings import HubSection, Port

PROXY: Final = "proxy"
HUB: Final = "hub"
SERVICE: Final = "service"
CULLER: Final = "culler"


class UpSection(Section):
    """Where the platform is reached."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"  # other addresses: put TLS before it
    port: Port = 8000


class UpSettings(BaseModel):
    """All sections that the supervisor reads."""

    up: UpSection = UpSection()
    hub: HubSection = HubSection()


def programs(
    home: Home, addresses: Addresses, settings: UpSettings, environ: Mapping[str, str] = os.environ
) -> list[Program]:
    """The programs in the order in which they are started; ended in the reverse one."""
    base = _environment(home, environ)
    told = _told(home)
    hub = _hub_settings(addresses)
    found = [
        Program(
            name=PROXY,
            argv=tuple(_proxy_command(addresses)),
            variables={**base, "CONFIGPROXY_AUTH_TOKEN": home.secret("proxy-token")},
            folder=home.run,
            grace_s=3.0,
        ),
        Program(
            name=SERVICE,
            argv=(sys.executable, "-P", "-m", "atoll.apps.service"),
            variables={**base, **_service_settings(addresses)},
            folder=home.service,
            told=told,
        ),
        Program(
            name=HUB,
            argv=(sys.executable, "-P", "-m", "hub_config"),
            variables={**base, **hub},
            folder=home.hub,
            told=told,
        ),
    ]
    if culling.wanted(settings.hub):
        ours = settings.hub.model_copy(update={"port": addresses.inside.hub})
        variables = {**base, "JUPYTERHUB_API_TOKEN": home.secret("culler-token")}
        argv = tuple(culling.command(ours))
        found.append(Program(name=CULLER, argv=argv, variables=variables, folder=home.run))
    return found


def _proxy_command(addresses: Addresses) -> list[str]:
    return [
        *proxy_install.command(),
        f"--ip={addresses.host}",
        f"--port={addresses.port}",
        "--api-ip=127.0.0.1",
        f"--api-port={addresses.inside.proxy_api}",
        f"--error-target=http://127.0.0.1:{addresses.inside.hub}/hub/error",
        "--log-level=warn",
    ]


def _hub_settings(addresses: Addresses) -> dict[str, str]:
    return {
        f"{PREFIX}HUB__PORT": str(addresses.inside.hub),
        f"{PREFIX}HUB__PROXY_API_PORT": str(addresses.inside.proxy_api),
        f"{PREFIX}HUB__SERVICE_PORT": str(addresses.inside.service),
        f"{PREFIX}HUB__PUBLIC_URL": addresses.url,
    }


def _service_settings(addresses: Addresses) -> dict[str, str]:
    return {
        f"{PREFIX}SERVICE__PORT": str(addresses.inside.service),
        f"{PREFIX}SERVICE__HUB_API_URL": addresses.hub_api,
        f"{PREFIX}SERVICE__URL": f"{addresses.url}services/atoll/",
    }


def _environment(home: Home, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of all children: ours, and calls on this machine pass no network proxy."""
    variables = {**environ, "ATOLL_HOME": str(home.path)}
    for name in ("no_proxy", "NO_PROXY"):
        variables[name] = ",".join(filter(None, (environ.get(name), "127.0.0.1,localhost")))
    # what a shell inside of a server or a job has, and the platform must not take for its own
    for name in ("ATOLL_URL", "ATOLL_TOKEN", "ATOLL_JOB", "ATOLL_SERVER_START"):
        variables.pop(name, None)
    return variables


def _told(home: Home) -> str:
    """The version and the settings file: after a change of either, children are started anew."""
    try:
        text = home.settings.read_bytes()
    except FileNotFoundError:
        text = b""
    return f"{atoll.__version__} {hashlib.sha256(text).hexdigest()}"
