"""The tokens of jobs: made from the platform's own secret, stored hashed, good while the job is."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

PREFIX: Final = "job-"
_DIGITS: Final = 56  # 224 bits; with the prefix below the 64 characters that the hub's tokens have


def token_of(secret: str, id_: str) -> str:
    """The job's token. The same whoever asks, so that a start that was cut off can be repeated."""
    digest = hmac.new(secret.encode(), id_.encode(), hashlib.sha256).hexdigest()
    return PREFIX + digest[:_DIGITS]


def hash_of(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()
