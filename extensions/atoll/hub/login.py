"""The embedded login: shared passwords, and a link that lets the administrator in once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyterhub.authenticators.shared import SharedPasswordAuthenticator
from jupyterhub.handlers.base import BaseHandler
from tornado.web import HTTPError
from traitlets import Unicode

from atoll.hub import way_in


class WayInHandler(BaseHandler):  # type: ignore[misc]  # JupyterHub has no types
    """`/hub/way-in?token=…`: logs the first administrator in, once. The hub's log hides `token`."""

    async def get(self) -> None:
        """Log in and go on to the first page."""
        authenticator = self.authenticator
        if not way_in.use_up(Path(authenticator.way_in), self.get_argument("token", "")):
            if self.current_user is not None:  # followed twice by the same person
                self.redirect(self._first_page(self.current_user))
                return
            raise HTTPError(
                403,
                "This link was used already or is too old. Log in with your name and password, or"
                " run `atoll up` once more: it prints a new link.",
            )
        user = await self.auth_to_user({"name": authenticator.first_admin, "admin": True})
        self.set_login_cookie(user)
        self.log.info("User logged in by the printed link: %s", user.name)
        self.redirect(self._first_page(user))

    def _first_page(self, user: Any) -> str:
        """Where a login leads, without this link's query: the next page would take it for choices."""
        return str(self.get_next_url(user)).partition("?")[0]


class EmbeddedAuthenticator(SharedPasswordAuthenticator):  # type: ignore[misc]  # no types
    """JupyterHub's shared passwords, and the printed link."""

    way_in = Unicode(config=True, help="The file with the printed link's token; empty: no link.")
    first_admin = Unicode(config=True, help="Whom the printed link logs in.")

    def get_handlers(self, app: Any) -> list[tuple[str, type]]:
        """The login page, and the link's where one is printed."""
        link = [("/way-in", WayInHandler)] if self.way_in else []
        return [*super().get_handlers(app), *link]
