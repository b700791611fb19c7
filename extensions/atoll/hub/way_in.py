"""The token of the printed link: made at each start of the platform, worth one login within a day."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from atoll.kit.home import Home

VALID_S: Final = 24 * 3600.0
"""A link that nobody followed within a day is worth nothing any more."""


def place(home: Home) -> Path:
    """The file that holds the token; mode 0600, as all secrets."""
    return home.secrets / "way-in"


def make(home: Home) -> str:
    """A new token; the one before is worth nothing from now on."""
    path = place(home)
    token = secrets.token_urlsafe(32)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    draft.write_text(token, "ascii")
    draft.replace(path)
    return token


def use_up(path: Path, token: str, clock: Callable[[], float] = time.time) -> bool:
    """Whether this is the token made last, unused and not too old; it is used up then."""
    try:
        known = path.read_text("ascii")
        age = clock() - path.stat().st_mtime
    except FileNotFoundError:
        return False
    if not secrets.compare_digest(known.encode(), token.encode("utf-8", "replace")):
        return False
    try:
        path.unlink()  # of two at the same time, one succeeds
    except FileNotFoundError:
        return False
    return age <= VALID_S
