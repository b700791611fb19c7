"""Names of users and servers as they arrive in URLs."""

from __future__ import annotations

import re
from typing import Final

from atoll.kit.errors import InvalidError, NotFoundError
from atoll.kit.names import server_name

_SERVER: Final = re.compile(r"[a-z](?:-?[a-z0-9])*")  # JupyterHub 6's grammar of named servers
_SERVER_MOST: Final = 30
_USER_MOST: Final = 255


def checked_server(segment: str) -> str:
    """The JupyterHub server name that a URL segment spells; raises InvalidError for none."""
    name = server_name(segment)
    if name and (len(name) > _SERVER_MOST or _SERVER.fullmatch(name) is None):
        raise InvalidError(
            f"{segment[:_SERVER_MOST]!r} cannot be the name of a server.",
            hint="Servers have 1 to 30 lower-case letters, digits and single hyphens, beginning"
            " with a letter; the default server is spelled `-`.",
        )
    return name


def checked_user(user: str) -> str:
    """The user name, if JupyterHub could have such a user; raises NotFoundError where not."""
    if not user or len(user) > _USER_MOST or not user.isprintable() or "/" in user:
        raise NotFoundError("There is no such user.")
    return user
