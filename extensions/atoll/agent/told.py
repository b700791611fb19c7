"""What is told of a save or a look, cut to what one message takes: names are as long as a tenant likes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

from pydantic import BaseModel
from pydantic_core import to_json

from atoll import oci
from atoll.agent.commit import Saved
from atoll.agent.what_changed import Report
from atoll.checkpoints.models import Changes, Digest
from atoll.checkpoints.node_models import MOST_LISTED, ImageSaved, NotInIt

MOST: Final = 1_000_000
"""Bytes of the lists in a message, all together: many a proxy takes a mebibyte in a request."""
_LONGEST: Final = 4096  # characters of a path

T = TypeVar("T", bound=BaseModel | str | tuple[str, str])


def told(saved: Saved, report: Report | None) -> ImageSaved:
    """How a save ended; of what does not fit, the lists have as much as there is room for."""
    copied, room = saved.copied, _Room(6)
    secrets = room.taken(_path(path) for path in sorted(copied.secrets)[:MOST_LISTED])
    torn = room.taken(_path(path) for path in copied.torn[:MOST_LISTED])
    left_out = room.taken(
        NotInIt(path=_path(one.path), reason=one.reason) for one in copied.left_out[:MOST_LISTED]
    )
    changes = _cut(report.changes, room) if report is not None else None
    packages = dict(room.taken(report.packages.items())) if report is not None else {}
    return ImageSaved(
        outcome="saved",
        digest=Digest(saved.image.digest),
        added=len(copied.layers),
        files=saved.entries,
        size=saved.size,
        changes=changes,
        packages=packages,
        left_out=left_out,
        secrets=secrets,
        torn=torn,
        frozen_ms=copied.frozen_s * 1000,
        seconds=saved.seconds,
    )


def seen(changes: Changes) -> Changes:
    """What a look saw, as much of it as there is room for; the sums stay."""
    return _cut(changes, _Room(2))


def _cut(changes: Changes, room: _Room) -> Changes:
    directories, packages = room.taken(changes.directories), room.taken(changes.packages)
    return changes.model_copy(update={"directories": directories, "packages": packages})


def _path(path: bytes) -> str:
    return oci.shown(path)[:_LONGEST]


class _Room:
    """The bytes of a message, for so many lists."""

    def __init__(self, lists: int) -> None:
        self._left = MOST
        self._lists = lists

    def taken(self, items: Iterable[T]) -> list[T]:
        """Those that fit into the list's even share; what it leaves of that, the lists after it have."""
        share = self._left // self._lists
        self._lists -= 1
        kept = []
        for item in items:
            size = len(to_json(item)) + 1  # and a comma
            if size <= share:
                kept.append(item)
                share -= size
                self._left -= size
        return kept
