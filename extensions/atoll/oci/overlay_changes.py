"""Looking at an overlay's upper directory before it is saved: how much there is, and what changed."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from .changes import Change, Changes, change_of
from .errors import LimitError, readable
from .lowers import Lowers, Seen, attribute, marks, redirected
from .source import DEFAULT_LIMITS, GiveWay, LeftOut, Limits, nobody_waits
from .walk import Exclude, Walk, is_whiteout

_SECTOR = 512  # bytes: the unit of st_blocks


@dataclass(frozen=True, slots=True)
class Scan:
    """How much an upper directory holds."""

    entries: int  # that a layer would have
    size: int  # logical bytes of files, each once however many names it has
    disk: int  # bytes that they take on disk: less, where files have holes
    deletions: int
    left_out: tuple[LeftOut, ...]


def scan(
    upper: Path,
    *,
    exclude: Exclude | None = None,
    userxattr: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    give_way: GiveWay = nobody_waits,
) -> Scan:
    """Looks at names and sizes only, before anything is read.

    Raises `LimitError` with the numbers, `SourceError` where a layer could not be made.
    """
    walk = Walk(upper, exclude=exclude, limits=limits, whiteouts=True, keep=False)
    entries = size = disk = deletions = 0
    linked: set[int] = set()
    redirect = marks(userxattr=userxattr).redirect
    with closing(walk.listings()) as listings:
        for listing in listings:
            give_way()
            with readable(listing.path):
                moved = attribute(listing.descriptor, redirect) is not None
            if moved:
                raise redirected(listing.path)
            entries += len(listing.changed)
            for _, status in listing.changed:
                mode = status.st_mode
                if stat.S_ISREG(mode):
                    if status.st_nlink > 1:
                        if status.st_ino in linked:
                            continue
                        linked.add(status.st_ino)
                    size += status.st_size
                    disk += status.st_blocks * _SECTOR
                elif stat.S_ISCHR(mode):
                    deletions += 1
    if size > limits.size:
        raise LimitError(
            f"The container's own files have {size:,} bytes in {entries:,} entries; "
            f"{limits.size:,} bytes are allowed.",
            hint="Delete what need not be kept, or move data to a mounted directory.",
        )
    return Scan(entries, size, disk, deletions, walk.left_out.items())


def overlay_changes(
    upper: Path,
    lowers: Sequence[Path],
    *,
    exclude: Exclude | None = None,
    userxattr: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Changes:
    """What differs from what the lower directories show; raises `SourceError`, `LimitError`."""
    comparison = _Comparison(Lowers(lowers, userxattr=userxattr), exclude)
    opaque_mark = marks(userxattr=userxattr).opaque
    walk = Walk(upper, exclude=exclude, limits=limits, whiteouts=True)
    opaque: list[bytes] = []
    with closing(walk.listings()) as listings:
        for listing in listings:
            with readable(listing.path):
                mark = attribute(listing.descriptor, opaque_mark)
            if mark == b"y" and not (opaque and listing.path.startswith(opaque[-1] + b"/")):
                opaque.append(listing.path)
            for name in listing.refused:
                comparison.gone(listing.full(name))
            for name, status in listing.changed:
                if is_whiteout(status):
                    comparison.gone(listing.full(name))
                else:
                    comparison.there(listing.full(name), status.st_mode, status.st_size)
    for path in opaque:
        comparison.hidden(path, walk)
    return comparison.result()


class _Comparison:
    def __init__(self, lowers: Lowers, exclude: Exclude | None) -> None:
        self._lowers = lowers
        self._exclude = exclude
        self._added: list[Change] = []
        self._changed: list[Change] = []
        self._removed: list[Change] = []

    def result(self) -> Changes:
        return Changes(tuple(self._added), tuple(self._changed), tuple(self._removed))

    def there(self, path: bytes, mode: int, size: int) -> None:
        """The upper directory has something at `path`."""
        before = self._lowers.find(path)
        here = self._added if before is None else self._changed
        here.append(change_of(path, mode, size))
        if before is not None and _is_directory(before) and not stat.S_ISDIR(mode):
            self._removed.extend(self._below(path))

    def gone(self, path: bytes) -> None:
        """What the lower directories have at `path` is deleted."""
        before = self._lowers.find(path)
        if before is not None:
            self._removed.append(change_of(path, before.status.st_mode, before.status.st_size))
            if _is_directory(before):
                self._removed.extend(self._below(path))

    def hidden(self, path: bytes, walk: Walk) -> None:
        """An opaque directory: all that the lower ones have in it and it has not itself is gone."""
        here: tuple[bytes, set[bytes]] | None = None  # names by directory come one after the other
        for change in self._below(path):
            parent, _, name = change.path.rpartition(b"/")
            if here is None or here[0] != parent:
                here = (parent, set(walk.records.get(parent, ())))
            if name not in here[1]:
                self._removed.append(change)

    def _below(self, path: bytes) -> Iterator[Change]:
        for inner, seen in self._lowers.below(path, self._exclude):
            yield change_of(inner, seen.status.st_mode, seen.status.st_size)


def _is_directory(seen: Seen) -> bool:
    return stat.S_ISDIR(seen.status.st_mode)
