"""The passwords of the embedded login: made at first use, one a file, mode 0600."""

from __future__ import annotations

import secrets
from pathlib import Path

from atoll.kit.home import Home


def password_file(home: Home) -> Path:
    """Where the users' password is kept."""
    return home.secrets / "password"


def user_password(home: Home) -> str:
    """The password of all users (96 random bits)."""
    return home.secret("password", lambda: secrets.token_urlsafe(12))


def admin_password(home: Home) -> str:
    """The password of administrators; JupyterHub wants 32 characters at least."""
    return home.secret("admin-password")
