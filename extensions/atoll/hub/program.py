"""The hub's program: JupyterHub, whose pages and API say what is the matter where it would mislead people."""

from __future__ import annotations

from functools import cache
from typing import Any

from jupyterhub.app import JupyterHub
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.handlers.pages import SpawnPendingHandler
from jupyterhub.scopes import needs_scope
from jupyterhub.utils import url_escape_path, url_path_join
from tornado.web import authenticated

from atoll.hub.database_away import DatabaseAway


class Hub(JupyterHub):  # type: ignore[misc]  # JupyterHub has no types
    """JupyterHub with handlers of ours in the place of some, and all of them telling of the database."""

    handlers: list[tuple[Any, ...]]

    def init_handlers(self) -> None:
        """Called by JupyterHub before it listens."""
        super().init_handlers()
        self.handlers = [
            (pattern, _ours(handler), *options) for pattern, handler, *options in self.handlers
        ]


class PendingHandler(SpawnPendingHandler):  # type: ignore[misc]  # JupyterHub has no types
    """`/hub/spawn-pending/USER/SERVER`, which people are led to while their server starts or stops."""

    @authenticated  # type: ignore[untyped-decorator]  # the same
    @needs_scope("servers")  # type: ignore[untyped-decorator]  # the same
    async def get(self, user_name: str, server_name: str = "") -> None:
        """As JupyterHub's; but a server that it forgot, its stop having ended, is on the page that starts it."""
        user = self.find_user(user_name)
        if user is not None and server_name and server_name not in user.spawners:
            name = url_escape_path(server_name)
            self.redirect(url_path_join(self.hub.base_url, "spawn", user.escaped_name, name))
            return
        await super().get(user_name, server_name)


@cache
def _ours(handler: type) -> type:
    if not issubclass(handler, BaseHandler):
        return handler
    if handler is SpawnPendingHandler:
        handler = PendingHandler
    return type(handler.__name__, (DatabaseAway, handler), {})
