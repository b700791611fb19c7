"""Where a path of a container really is, over the layers of its overlay, symlinks followed inside it."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

_MOST_LINKS = 40  # as the kernel (path_resolution(7))


def resolved(layers: Sequence[Path], path: bytes, *, last: bool = True) -> bytes | None:
    """The relative path that `path` leads to inside, None where there is nothing.

    `layers` are the topmost first. With `last` False the last part itself is not followed. What is
    found was there a moment ago; whoever opens it must not follow links.
    """
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    done: list[bytes] = []
    links = 0
    while parts:
        part = parts.pop(0)
        if part == b"..":
            done = done[:-1]
            continue
        here = [*done, part]
        found = _topmost(layers, here)
        if found is None:
            return None
        target, is_link = found
        if not is_link or (not parts and not last):
            done = here
            continue
        links += 1
        if links > _MOST_LINKS:
            return None
        done = [] if target.startswith(b"/") else done
        parts = [step for step in target.split(b"/") if step not in (b"", b".")] + parts
    return b"/".join(done)


def _topmost(layers: Sequence[Path], parts: list[bytes]) -> tuple[bytes, bool] | None:
    """What the uppermost layer that has this path says: a link's target, and whether it is one."""
    for layer in layers:
        visible, found = _look(layer, parts)
        if found is not None:
            return found
        if not visible:
            return None
    return None


def _look(layer: Path, parts: list[bytes]) -> tuple[bool, tuple[bytes, bool] | None]:
    """Whether the layers below count, and what is here. No part but the last may be a link."""
    at = os.fsencode(layer)
    opaque = False
    for number, part in enumerate(parts, start=1):
        opaque = opaque or _opaque(at)
        at = at + b"/" + part
        try:
            status = os.lstat(at)
        except OSError:
            return not opaque, None
        if _is_whiteout(status):
            return False, None
        if number == len(parts):
            link = stat.S_ISLNK(status.st_mode)
            return True, (_target(at) if link else b"", link)
        if not stat.S_ISDIR(status.st_mode):
            return False, None
    return True, (b"", False)


def _target(path: bytes) -> bytes:
    try:
        return os.readlink(path)  # noqa: PTH115 - a path in bytes
    except OSError:
        return b""


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _opaque(directory: bytes) -> bool:
    for name in (b"trusted.overlay.opaque", b"user.overlay.opaque"):
        try:
            if os.getxattr(directory, name, follow_symlinks=False) == b"y":
                return True
        except OSError:
            continue
    return False
