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
_KEY_MARKS: Final = (b"PRIVATE KEY-----", b"PuTTY-User-Key-File-")  # found ten times as fast
_KEY_HEADER: Final = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----|^PuTTY-User-Key-File-", re.MULTILINE
)


def likely_secret(path: bytes) -> bool:
    """Whether a file of this name usually holds a password, a key or a token."""
    return _NAMES.fullmatch(path) is not None


def holds_key(header: bytes) -> bool:
    """Whether a file that begins so holds a private key."""
    begun = header[:HEADER_SIZE]
    if not any(mark in begun for mark in _KEY_MARKS):
        return False
    return _KEY_HEADER.search(begun) is not None
