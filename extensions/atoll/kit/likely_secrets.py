"""What looks like a secret: by a file's name, or by how a private key announces itself."""

from __future__ import annotations

import re
from typing import Final

HEADER_SIZE: Final = 4096
"""Bytes at the beginning of a file in which a key announces itself."""

_NAMES: Final = re.compile(
    rb"(?:.*/)?(?:\.netrc|\.git-credentials|\.pypirc|\.pgpass|\.aws/credentials|\.kube/config|kubeconfig"
    rb"|\.docker/config\.json|id_(?:rsa|dsa|ecdsa|ed25519)|\.env)"
)
_KEY_MARK: Final = b"PRIVATE KEY-----"  # found ten times as fast
_PUTTY_MARK: Final = b"PuTTY-User-Key-File-"
_KEY_HEADER: Final = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----|^PuTTY-User-Key-File-", re.MULTILINE
)


def likely_secret(path: bytes) -> bool:
    """Whether a file of this name usually holds a password, a key or a token."""
    return _NAMES.fullmatch(path) is not None


def holds_key(header: bytes) -> bool:
    """Whether a file that begins so holds a private key."""
    begun = header[:HEADER_SIZE]
    marked = _KEY_MARK in begun or _PUTTY_MARK in begun
    return marked and _KEY_HEADER.search(begun) is not None
