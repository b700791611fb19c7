"""Options of an overlay mount, as runtimes give them and as /proc/PID/mountinfo shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_OCTAL = re.compile(rb"\\([0-7]{3})")
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OverlayMount:
    """The directories of an overlay that can be written to."""

    upper: Path
    lowers: tuple[Path, ...]  # the topmost first


def unescaped(field: bytes) -> bytes:
    r"""A field of mountinfo, in which space, tab, newline, # and \ are written as octal numbers."""
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), field)


def split_options(options: bytes) -> list[bytes]:
    r"""Options apart at their commas; a comma that belongs to a path is written `\,`."""
    return _split(options, b",")


def parse_options(options: Iterable[bytes]) -> OverlayMount | None:
    r"""What the options say, relative paths as they are; None for a mount that is read-only.

    `lowerdir=` lists directories with `:` between them (`\:` is a colon in a path; `::` begins the
    data-only layers, which hold no names), `lowerdir+=` and `datadir+=` add one as it is.
    """
    upper: Path | None = None
    lowers: list[Path] = []
    for option in options:
        key, _, value = option.partition(b"=")
        if key == b"upperdir":
            upper = _path(_plain(value))
        elif key == b"lowerdir":
            lowers += [_path(part) for part in _names(value)]
        elif key == b"lowerdir+":
            lowers.append(_path(value))
    return None if upper is None else OverlayMount(upper, tuple(lowers))


def _names(value: bytes) -> Iterator[bytes]:
    for part in _split(value, b":"):
        if not part:
            return  # from here on data-only layers
        yield _plain(part)


def _plain(value: bytes) -> bytes:
    return _ESCAPED.sub(rb"\1", value)


def _split(text: bytes, separator: bytes) -> list[bytes]:
    """Apart at each separator that no backslash stands before; backslashes stay."""
    parts = [b""]
    at = 0
    while at < len(text):
        if text[at : at + 1] == b"\\":
            parts[-1] += text[at : at + 2]
            at += 2
        elif text[at : at + 1] == separator:
            parts.append(b"")
            at += 1
        else:
            parts[-1] += text[at : at + 1]
            at += 1
    return parts


def _path(value: bytes) -> Path:
    return Path(value.decode("utf-8", "surrogateescape"))
