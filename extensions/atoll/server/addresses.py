"""Which addresses of the service a browser may reach, whatever it sends: those under `api/v1`, plainly spelled."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from atoll.kit.errors import InvalidError

_OWN: Final = frozenset({"_xsrf", "token", "no_track_activity"})
"""Query names that Jupyter's own authentication reads: secrets of this server, never passed on."""

_FORBIDDEN: Final = frozenset("\\%?#")
"""Characters that another server might read as structure after one more decoding. An encoded slash may
be in a name (`group:/staff/sea`), as long as the path is a plain one for those too who take it for a real one."""

_SAFE: Final = ":@"
"""What names such as `ada:flights` and `sha256:…` hold and what stands for itself in a path."""


def checked_path(raw: str) -> str:
    """The path under `api/v1` that the raw (still encoded) one names, encoded anew.

    Raises InvalidError for anything that is not a plain list of names: empty, `.` and `..` segments
    (between encoded slashes too), double encodings, control characters, bytes that are no UTF-8.
    """
    return "/".join(quote(_checked_segment(segment), safe=_SAFE) for segment in raw.split("/"))


def checked_query(raw: str) -> str:
    """The query without the names that are this server's own, and without empty values."""
    try:
        pairs = parse_qsl(raw, errors="strict", max_num_fields=50)
    except ValueError as error:
        raise InvalidError("This query cannot be read.") from error
    return urlencode([(name, value) for name, value in pairs if name not in _OWN])


def _checked_segment(segment: str) -> str:
    try:
        name = unquote(segment, errors="strict")
    except UnicodeDecodeError as error:
        raise _refused() from error
    if not {"", ".", ".."}.isdisjoint(name.split("/")):
        raise _refused()
    if not name.isprintable() or _FORBIDDEN & set(name):
        raise _refused()
    return name


def _refused() -> InvalidError:
    return InvalidError("There can be nothing of the platform at this address.")
