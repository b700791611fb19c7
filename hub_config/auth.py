"""Who may log in: shared passwords made at the first start, and the link that is printed."""

from __future__ import annotations

from typing import Any

from atoll.hub import way_in
from atoll.hub.login import EmbeddedAuthenticator
from atoll.kit.home import Home

from hub_config.auth_secrets import admin_password, user_password
from hub_config.settings import USER_NAME, HubSettings


def configure(c: Any, settings: HubSettings, home: Home) -> None:
    """Anybody who knows the password is a user; administrators have a password of their own."""
    c.JupyterHub.authenticator_class = EmbeddedAuthenticator
    c.JupyterHub.oauth_require_pkce = True
    auth = c.EmbeddedAuthenticator
    auth.user_password = user_password(home)
    auth.admin_password = admin_password(home)
    auth.first_admin = settings.hub.administrators[0]
    auth.admin_users = set(settings.hub.administrators)
    if settings.hub.spawner == "local":  # only whoever starts it on a machine is printed a link
        auth.way_in = str(way_in.place(home))
    auth.allow_all = True  # of those who know the password
    auth.username_pattern = USER_NAME.removesuffix("$") + r"\Z"  # `$` allows a line end after it
