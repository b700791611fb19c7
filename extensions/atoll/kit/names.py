"""Names and ids: what people may call things, and ids that sort by the time they were made."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from typing import Final

from atoll.kit.errors import InvalidError

DEFAULT_SERVER: Final = "-"
"""How URLs and commands spell the default server, whose name in JupyterHub is the empty string.
Named servers start with a letter (JupyterHub 6), so this can never be one."""

_NAME = re.compile(r"[a-z][a-z0-9]*(?:[._-][a-z0-9]+)*")
_ID = re.compile(r"[a-z]{1,3}-[0-9a-f]{22}")
_MAX_NAME = 63  # a DNS label, so that a name can become a Kubernetes object's
_PLAIN = re.compile(r"[a-z0-9](?:[-_]?[a-z0-9])*")
_PLAIN_MOST = 60
_SLUG_MOST = 40


def new_id(prefix: str) -> str:
    """A new id such as `j-0192f0c1a2b3` + 10 random hex digits: ids sort by their millisecond."""
    return f"{prefix}-{time.time_ns() // 1_000_000:012x}{secrets.token_hex(5)}"


def is_id(text: str) -> bool:
    """Whether the text has the form of an id (and so cannot be a name)."""
    return _ID.fullmatch(text) is not None


def checked_name(text: str, what: str) -> str:
    """The text, if it can name a `what`; raises InvalidError, which says what a name may be."""
    if len(text) > _MAX_NAME or _NAME.fullmatch(text) is None or is_id(text):
        shown = text if len(text) <= _MAX_NAME else text[:_MAX_NAME] + "…"
        raise InvalidError(
            f"{shown!r} cannot be the name of a {what}.",
            hint=f"Use 1 to {_MAX_NAME} lower-case letters, digits and single . _ - between them,"
            " beginning with a letter.",
        )
    return text


def server_segment(name: str) -> str:
    """A server's name as URLs and commands spell it: `-` for the default server."""
    return name or DEFAULT_SERVER


def server_name(segment: str) -> str:
    """The JupyterHub server name that a URL segment or an option spells."""
    return "" if segment == DEFAULT_SERVER else segment


def directory_name(text: str) -> str:
    """A directory name for any text: the text where it is plain, else a slug with its hash.

    Different texts get different names, on file systems that ignore case too; none begins with a
    dot, and a plain name never looks like a hashed one (`--` is in every hashed name only).
    """
    if len(text) <= _PLAIN_MOST and _PLAIN.fullmatch(text):
        return text
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_SLUG_MOST].strip("-")
    return (
        f"{slug or 'x'}--{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    )
