"""What has changed in a directory since it was saved or restored: cheap, and writes nothing."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from .index import Index, mode_of, size_of
from .source import DEFAULT_LIMITS, Kind, Limits
from .walk import Exclude, Listing, Walk


class Change(NamedTuple):
    """One path that is new, different or gone; `size` in bytes, 0 for all but files."""

    path: bytes
    kind: Kind  # for what is gone: what it was
    size: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What was added, changed and removed, each in the order of the walk."""

    added: tuple[Change, ...]
    changed: tuple[Change, ...]
    removed: tuple[Change, ...]

    @property
    def files(self) -> int:
        """How many paths differ; directories, whose times follow their content, do not count."""
        every = chain(self.added, self.changed, self.removed)
        return sum(change.kind is not Kind.DIRECTORY for change in every)

    @property
    def size(self) -> int:
        """Bytes of the files that are new or different."""
        return sum(change.size for change in chain(self.added, self.changed))


def changes(
    root: Path,
    *,
    since: Index | None = None,
    exclude: Exclude | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Changes:
    """What differs from `since`; everything is added where that is None. Raises `SourceError`."""
    old = since or Index({})
    walk = Walk(root, since=old, exclude=exclude, limits=limits)
    added: list[Change] = []
    changed: list[Change] = []
    removed: list[Change] = []
    with closing(walk.listings()) as listings:
        for listing in listings:
            before = old.children(listing.path)
            for name, status in listing.changed:
                path = listing.full(name)
                here = added if name not in before else changed
                here.append(change_of(path, status.st_mode, status.st_size))
                was_directory = name in before and stat.S_ISDIR(mode_of(before[name]))
                if was_directory and not stat.S_ISDIR(status.st_mode):
                    removed.extend(_below(old, path, exclude))
            removed.extend(_gone(old, listing, exclude))
    return Changes(tuple(added), tuple(changed), tuple(removed))


def _gone(old: Index, listing: Listing, exclude: Exclude | None) -> Iterator[Change]:
    before = old.children(listing.path)
    for name in listing.removed:
        path = listing.full(name)
        mode = mode_of(before[name])
        yield change_of(path, mode, size_of(before[name]))
        if stat.S_ISDIR(mode):
            yield from _below(old, path, exclude)


def _below(old: Index, directory: bytes, exclude: Exclude | None) -> Iterator[Change]:
    """Everything the index has below a directory that is no longer one."""
    for parent, entries in old.below(directory).items():
        for name, found in entries.items():
            path = parent + b"/" + name
            if exclude is None or exclude(path) is None:
                yield change_of(path, mode_of(found), size_of(found))


def change_of(path: bytes, mode: int, size: int) -> Change:
    """The change at a path with this mode and size."""
    if stat.S_ISREG(mode):
        return Change(path, Kind.FILE, size)
    return Change(path, Kind.DIRECTORY if stat.S_ISDIR(mode) else Kind.SYMLINK, 0)
