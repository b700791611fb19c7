"""The tokens of pods' atoll-hold: made from the platform's own secret, each good for one start."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

SECRET: Final = "hold-tokens"  # noqa: S105  # the name of its file
_PREFIX: Final = "hold-"
_DIGITS: Final = 56  # 224 bits


def token_of(secret: str, start_id: str) -> str:
    """The token of one start's pod; its sidecar alone has it, no container of the user's."""
    digest = hmac.new(secret.encode(), start_id.encode(), hashlib.sha256).hexdigest()
    return _PREFIX + digest[:_DIGITS]
