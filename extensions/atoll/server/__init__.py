"""The jupyter-server extension: passes the lab's calls on to the service, and its events to each tab."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "atoll.server"}]


def _load_jupyter_server_extension(server: ServerApp) -> None:
    from atoll.server.extension import load

    load(server)
