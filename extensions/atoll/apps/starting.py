"""Starting a supervisor: settings checked, ports chosen, what a killed one left taken over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from atoll.apps import addresses, platform_state
from atoll.apps.addresses import Addresses
from atoll.apps.platform_state import PlatformStatus
from atoll.apps.programs import PROXY, UpSettings, programs
from atoll.apps.settings import ServiceSettings
from atoll.apps.supervisor import Supervisor
from atoll.kit import settings
from atoll.kit.home import Home
from atoll.kit.logfiles import open_log
from atoll.kit.logs import JsonFormatter


def load_settings(home: Home, port: int | None) -> UpSettings:
    """The supervisor's settings; raises SettingsError for a wrong value or name of any part's."""
    settings.check_sections((ServiceSettings, UpSettings), home.settings)
    settings.load(ServiceSettings, home.settings)
    config = settings.load(UpSettings, home.settings)
    if port is None:
        return config
    return config.model_copy(update={"up": config.up.model_copy(update={"port": port})})


def supervise(
    home: Home, config: UpSettings, say: Callable[[str], None], ready: Callable[[], None] | None
) -> int:
    """Run the platform until told to end; without `ready`, end it in order as soon as it is up.

    Holds the home's lock already. The exit status.
    """
    left = platform_state.read(home)
    chosen = _addresses(home, config, left)
    _log_to(home)
    supervisor = Supervisor(home, chosen, programs(home, chosen, config), say)
    return asyncio.run(supervisor.run(ready or supervisor.end))


def _addresses(home: Home, config: UpSettings, left: PlatformStatus) -> Addresses:
    """Where the parts listen. What still runs keeps its ports."""
    running = {part.name for part in left.parts if part.running}
    inside = addresses.inside(home, keep=bool(running))
    chosen = Addresses(host=config.up.host, port=config.up.port, inside=inside)
    if PROXY not in running or left.url != chosen.url:
        addresses.check_public(chosen.host, chosen.port)
    return chosen


def _log_to(home: Home) -> None:
    """The supervisor's own log is a file; its terminal has sentences."""
    handler = logging.StreamHandler(open(open_log(home.logs / "supervisor.log"), "a"))  # noqa: SIM115, PTH123  # until the process ends
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
