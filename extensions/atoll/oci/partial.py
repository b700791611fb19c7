"""A walk over those directories alone in which something can have changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from .errors import must_be_readable
from .index import UNKNOWN, Index, inode_of
from .source import DEFAULT_LIMITS, Limits, Report
from .walk import OPEN_DIRECTORY, Exclude, Listing, Walk


class PartialWalk(Walk):
    """Lists the directories `only`, those around them, and what is new in these; no others.

    Where a changed file has several names, the directories of the others are listed too.
    """

    def __init__(
        self,
        root: Path,
        only: Collection[bytes],
        *,
        since: Index,
        exclude: Exclude | None = None,
        limits: Limits = DEFAULT_LIMITS,
        whiteouts: bool = False,
    ) -> None:
        super().__init__(root, since=since, exclude=exclude, limits=limits, whiteouts=whiteouts)
        self._only = {*only, *(path.rpartition(b"/")[0] for path in only)}
        self._begun = False
        self.whole = False

    def _walk(self, descriptor: int, path: bytes, depth: int) -> Iterator[Listing]:
        if path or self._begun:
            yield from super()._walk(descriptor, path, depth)
            return
        self._begun = True
        self._only |= self._with_other_names(descriptor)
        yield from self._places(descriptor)

    def _wanted(self, path: bytes, changed: bool) -> bool:
        """Whether to enter a directory from the one around it: a new one, or another in its place.

        One that was watched is in `only` when anything happened in it.
        """
        if path in self._only:
            return path in self._renewed
        return changed or path in self._renewed or path not in self._since.directories

    def _places(self, root: int) -> Iterator[Listing]:
        for path in sorted(self._only):
            if path in self.records:
                continue  # entered from the one around it
            descriptor = _descend(root, path)
            if descriptor is None:
                continue  # gone, and the one around it says so
            try:
                yield from super()._walk(descriptor, path, path.count(b"/") + 2 if path else 1)
            finally:
                os.close(descriptor)

    def _with_other_names(self, root: int) -> set[bytes]:
        """The directories of all names of the files with several names that have changed."""
        report, self.left_out = self.left_out, Report()
        linked = {
            status.st_ino
            for listing in self._places(root)
            for _, status in listing.changed
            if status.st_nlink > 1 and stat.S_ISREG(status.st_mode)
        }
        self.left_out, self._seen = report, 0
        self.records.clear()
        if not linked:
            return set()
        return {
            path
            for path, entries in self._since.directories.items()
            if not linked.isdisjoint(map(inode_of, entries.values()))
        }


def changed_anyway(index: Index, paths: Collection[bytes]) -> Index:
    """The index, but that nothing is known of these files: they are saved again whatever they say.

    For files mapped for writing: a page that is written to twice changes the file's times once.
    """
    directories = dict(index.directories)
    for path in paths:
        parent, _, name = path.rpartition(b"/")
        entries = Index(directories).children(parent)
        if name in entries:
            directories[parent] = {**entries, name: UNKNOWN}
    return Index(directories, image=index.image)


def _descend(root: int, path: bytes) -> int | None:
    """The descriptor of a directory, entered part by part; None where there is none any more."""
    descriptor = os.dup(root)
    for part in path.split(b"/") if path else ():
        try:
            following = os.open(part, OPEN_DIRECTORY, dir_fd=descriptor)
        except OSError as error:
            must_be_readable(path, error)
            return None
        finally:
            os.close(descriptor)
        if os.fstat(following).st_dev != os.fstat(root).st_dev:
            os.close(following)
            return None
        descriptor = following
    return descriptor
