"""Restoring an image into a directory: verified, safe against hostile layers, all or nothing."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .allowance import Cancelled
from .errors import CancelledError, SourceError, room_needed
from .image import Image
from .index import Index
from .layer import Progress
from .reader import open_layer
from .source import DEFAULT_LIMITS, LeftOut, Limits
from .store import Store, load_image
from .tree import Tree, remove_tree
from .walk import index_of

Finish = Callable[[Path, Path], None]
"""Called with the complete temporary directory and the path it will have."""

_DEBRIS = re.compile(r"\.(?P<name>.+)\.(?P<kind>new|old)-(?P<token>[a-z0-9_]+)")
_ROOT_MODE = 0o755  # images say nothing about their root; a private parent keeps others out


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was restored: its index, the number of entries applied, logical bytes written."""

    index: Index
    entries: int
    size: int
    left_out: tuple[LeftOut, ...]


def unpack(
    store: Store,
    digest: str,
    final: Path,
    *,
    finish: Finish | None = None,
    limits: Limits = DEFAULT_LIMITS,
    owner: bool = False,
    setuid: bool = False,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Unpacked:
    """Makes `final` hold the image `digest`, in place of what it held before.

    The image is built beside it and renamed into place when it is complete, so `final` is never
    half-written. `owner` restores uid and gid (as root); `setuid` keeps setuid, setgid and file
    capabilities. `progress` gets the bytes read so far, of the image's `size`. Raises
    `MissingError`, `DigestError`, `InvalidImageError`, `UnsafeLayerError`, `LimitError`,
    `StoreFullError`, `CancelledError`, `SourceError` where `final` is no directory; `final` is then
    as it was.
    """
    image = load_image(store, digest)
    if final.is_symlink() or (final.exists() and not final.is_dir()):
        raise SourceError(f"{final.name} is no directory.", hint="Move it away first.")
    with room_needed(f"the directory {final.name}"):
        temporary, lock = _locked_directory(final)
        try:
            tree = Tree(lock, limits=limits, owner=owner, setuid=setuid)
            try:
                _apply(store, image, tree, limits=limits, progress=progress, cancelled=cancelled)
                tree.complete()
            finally:
                tree.close()
            os.fchmod(lock, _ROOT_MODE)
            if finish is not None:
                finish(temporary, final)
            index = index_of(temporary, limits=limits, image=image.digest)
            old = _swap(temporary, final)
        except BaseException:
            remove_tree(temporary)
            raise
        finally:
            os.close(lock)
    if old is not None:
        with suppress(OSError):  # a process may still write there; `clean` removes it later
            remove_tree(old)
    return Unpacked(index, tree.entries, tree.size, tree.left_out.items())


def clean(parent: Path) -> None:
    """Removes what killed unpacks left in `parent`, and puts back what they had moved aside.

    What a living process is unpacking is left alone.
    """
    if not parent.is_dir():
        return
    found = [
        (path, match)
        for path in parent.iterdir()
        if (match := _DEBRIS.fullmatch(path.name)) and path.is_dir() and not path.is_symlink()
    ]
    for path, match in found:
        if match["kind"] == "old":
            with _left(parent / f".{match['name']}.new-{match['token']}") as left:
                if left:
                    _settle_old(path, parent / match["name"])
    for path, match in found:
        if match["kind"] == "new":
            with _left(path) as left, suppress(FileNotFoundError):
                if left:
                    remove_tree(path)


def _apply(
    store: Store,
    image: Image,
    tree: Tree,
    *,
    limits: Limits,
    progress: Progress | None,
    cancelled: Cancelled | None,
) -> None:
    before = 0
    for layer, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=True):

        def told(done: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done)

        with open_layer(store, layer, diff_id, limits=limits, progress=told) as reader:
            for _ in tree.apply(reader):
                if cancelled is not None and cancelled():
                    raise CancelledError("Restoring was stopped before it was complete.")
        before += layer.size


def _locked_directory(final: Path) -> tuple[Path, int]:
    """A new directory beside `final`, locked so that `clean` leaves it alone while we live."""
    while True:
        temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}.new-", dir=final.parent))
        with suppress(FileNotFoundError):  # cleaned before it was locked
            lock = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if temporary.exists():
                return temporary, lock
            os.close(lock)


@contextmanager
def _left(directory: Path) -> Iterator[bool]:
    """Whether nobody unpacks into the directory; nobody begins to before the block ends."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _swap(temporary: Path, final: Path) -> Path | None:
    """Renames `temporary` to `final`; what was there is moved aside and returned."""
    old = temporary.with_name(temporary.name.replace(".new-", ".old-"))
    try:
        final.rename(old)
    except FileNotFoundError:
        temporary.rename(final)
        return None
    try:
        temporary.rename(final)
    except BaseException:
        old.rename(final)
        raise
    return old


def _settle_old(old: Path, final: Path) -> None:
    """What a swap moved aside goes back where its replacement never arrived, and goes otherwise."""
    with suppress(FileNotFoundError):
        if not final.exists():
            old.rename(final)
        else:
            remove_tree(old)
