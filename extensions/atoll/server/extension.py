"""Puts the handlers into a jupyter-server."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join

from atoll.server.elsewhere import Looks
from atoll.server.feed import Feed
from atoll.server.passing import HomeHandler, InfoHandler, PassingHandler
from atoll.server.platform import Platform
from atoll.server.signals import wake_for_signals
from atoll.server.submitting import SubmitHandler
from atoll.server.tabs import EventsSocket


def load(server: ServerApp) -> None:
    """Add `atoll/api/…`, `atoll/submit`, `atoll/events`, `atoll/info`, `atoll/home` under the server's base URL."""
    platform = Platform.find()
    client = platform.client()
    base = server.web_app.settings["base_url"]
    server.web_app.add_handlers(
        ".*$",
        [
            (
                url_path_join(base, r"atoll/api/(.*)"),
                PassingHandler,
                {"platform": platform, "client": client},
            ),
            (
                url_path_join(base, r"atoll/submit"),
                SubmitHandler,
                {"platform": platform, "client": client},
            ),
            (
                url_path_join(base, r"atoll/events"),
                EventsSocket,
                {"feed": Feed(platform, client)},
            ),
            (url_path_join(base, r"atoll/info"), InfoHandler, {"platform": platform}),
            (url_path_join(base, r"atoll/home"), HomeHandler, {"looks": Looks(Path.home())}),
        ],
    )
    server.io_loop.add_callback(lambda: wake_for_signals(asyncio.get_running_loop()))
    # The access log has a line for each call already.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    server.log.info("Atoll: %s", f"platform at {platform.url}" if platform.present else "outside")
