"""Capturing the files that a job is to have: read where the notebook lies, as they are now.

Whatever lies there, nothing else is read: every directory is opened in its parent's descriptor and
never through a link, so that a link which appears meanwhile leads nowhere; a pipe holds nobody up.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Final

from atoll.jobs import bundle
from atoll.jobs.models import CAPTURED_COUNT_MOST, CAPTURED_MOST, CapturedFile
from atoll.kit.errors import InvalidError, TooLargeError
from atoll.kit.likely_secrets import HEADER_SIZE, holds_key, likely_secret

_DEEPEST: Final = 64
_LINK: Final = "a link, and links are not followed"
_NO_FILE: Final = "no plain file"
_SECRET: Final = "it looks like a secret"  # noqa: S105  # a sentence
_CLOSED: Final = "it cannot be read"
_NAME: Final = "its name cannot be kept"
_HOW: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass
class Captured:
    """What was captured, and what in the folders was not, with the reason. Hidden files and compiled
    Python in a folder are passed over without a word."""

    files: list[CapturedFile] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    @property
    def told(self) -> str | None:
        """What people have to know of what was left out; None where nothing was."""
        if not self.left_out:
            return None
        shown = ", ".join(f"{path} ({why})" for path, why in self.left_out[:5])
        more = len(self.left_out) - 5
        return f"Left out: {shown}{f' and {more} more' if more > 0 else ''}."


def capture(
    root: Path, folder: str, names: Sequence[str | PathLike[str]], most: int = CAPTURED_MOST
) -> Captured:
    """The files of these names, which are relative to `folder` in `root`; a folder with all in it.

    Raises InvalidError where one is not there, is no file, or lies outside of `root`, and
    TooLargeError beyond `most` bytes.
    """
    folder = bundle.clean_folder(folder)
    take = _Taking(most)
    with _opened(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as top:
        for name in names:
            take.named(top, fspath(name), _place(root, folder, fspath(name)))
    if not take.captured.files:
        raise InvalidError(
            f"There are no files in {', '.join(fspath(name) for name in names)[:200]}.",
            hint="Hidden files have to be named themselves.",
        )
    return take.captured


class _Taking:
    """Takes files until there are too many."""

    def __init__(self, most: int) -> None:
        self.captured = Captured()
        self._most = most
        self._left = most
        self._taken: set[str] = set()

    def named(self, top: int, name: str, place: str) -> None:
        """What somebody named: a file whatever it is called, or all that is in a folder."""
        if place:
            bundle.clean_path(place)
        with _parent_of(top, name, place) as (parent, last):
            why = self._take(parent, last, place, chosen=True)
        if why is not None:
            raise InvalidError(f"{name!r} cannot be given to the job: {why}.", hint=_hint(why))

    def _take(self, parent: int, name: str, place: str, *, chosen: bool) -> str | None:
        """Take what has this name; the reason where that cannot be."""
        found = _open(parent, name)
        if isinstance(found, str):
            return found
        with _opened(found):
            mode = os.fstat(found).st_mode
            if stat.S_ISREG(mode):
                return self._file(found, place, mode, chosen=chosen)
            if not stat.S_ISDIR(mode):
                return _NO_FILE
            self._folder(found, place)
            return None

    def _folder(self, descriptor: int, place: str) -> None:
        if place.count("/") > _DEEPEST:
            raise TooLargeError(f"{place[:80]!r} is too deep a folder.")
        for name in sorted(os.listdir(descriptor)):
            if name.startswith(".") or name == "__pycache__":
                continue
            inside = f"{place}/{name}" if place else name
            if (why := self._take(descriptor, name, inside, chosen=False)) is not None:
                self.captured.left_out.append((_readable(inside), why))

    def _file(self, descriptor: int, place: str, mode: int, *, chosen: bool) -> str | None:
        if place in self._taken:
            return None  # named twice
        if not chosen and likely_secret(os.fsencode(place)):
            return _SECRET
        try:
            path = bundle.clean_path(place)
            content = _read(descriptor, self._left + 1)
        except InvalidError:
            return _NAME
        except OSError:
            return _CLOSED
        if not chosen and holds_key(content[:HEADER_SIZE]):
            return _SECRET
        if len(content) > self._left:
            raise TooLargeError(
                f"The files have more than {self._most / 1e6:.1f} MB, {_readable(place)} among them.",
                hint="Name fewer files; larger data is read as a dataset, or from a store.",
            )
        if len(self._taken) >= CAPTURED_COUNT_MOST:
            raise TooLargeError(
                f"These are more than {CAPTURED_COUNT_MOST} files.", hint="Name fewer folders."
            )
        file = CapturedFile(path=path, content=content, executable=bool(mode & 0o100))
        self.captured.files.append(file)
        self._taken.add(place)
        self._left -= len(content)
        return None


def _place(root: Path, folder: str, name: str) -> str:
    """Where that is below `root`; raises InvalidError where it is outside."""
    if not name.strip():
        raise InvalidError("A file to be given to the job has no name.")
    if name.startswith("~/"):
        name = str(Path.home() / name[2:])
    base = posixpath.join("/", folder)
    if name.startswith("/"):
        lies = Path(os.path.normpath(name))
        known = next((one for one in (root, root.resolve()) if lies.is_relative_to(one)), None)
        if known is None:
            raise _outside(name)
        return "" if lies == known else str(lies.relative_to(known))
    depth = base.count("/") if folder else 0
    for part in name.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            raise _outside(name)
    return posixpath.normpath(posixpath.join(base, name)).lstrip("/")


@contextmanager
def _parent_of(top: int, name: str, place: str) -> Iterator[tuple[int, str]]:
    """The directory that it is in, opened step by step, and its name there."""
    parts = place.split("/") if place else ["."]
    current = os.dup(top)
    try:
        for part in parts[:-1]:
            following = _step(current, part, name)
            os.close(current)
            current = following
        yield current, parts[-1]
    finally:
        os.close(current)


def _step(parent: int, part: str, name: str) -> int:
    try:
        return os.open(part, _HOW | os.O_DIRECTORY, dir_fd=parent)
    except OSError as error:
        why = (
            "there is no such file"
            if error.errno == errno.ENOENT
            else f"{part!r} in it is no folder"
        )
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and _is_link(parent, part):
            why = f"{part!r} in it is {_LINK}"
        raise InvalidError(
            f"{name!r} cannot be given to the job: {why}.", hint=_hint(why)
        ) from error


def _open(parent: int, name: str) -> int | str:
    """The file or folder, opened; the reason where that cannot be."""
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            return os.open(name, _HOW, dir_fd=parent)
    except FileNotFoundError:
        return "there is no such file"
    except OSError as error:
        return _LINK if error.errno == errno.ELOOP else _CLOSED  # a link that has just appeared
    return _LINK if stat.S_ISLNK(mode) else _NO_FILE


def _is_link(parent: int, part: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(part, dir_fd=parent, follow_symlinks=False).st_mode)
    except OSError:
        return False


@contextmanager
def _opened(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read(descriptor: int, most: int) -> bytes:
    """What is in the file, `most` bytes of it: it may grow meanwhile."""
    pieces: list[bytes] = []
    while most > 0 and (piece := os.read(descriptor, min(most, 1 << 20))):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _readable(path: str) -> str:
    return path.encode("utf-8", "replace").decode()


def _hint(why: str) -> str | None:
    if why.endswith(_LINK):
        return "Name the file that it leads to, or copy it beside the notebook."
    return "Paths are relative to the notebook's folder." if why.startswith("there is no") else None


def _outside(name: str) -> InvalidError:
    return InvalidError(
        f"{name!r} cannot be given to the job: it lies outside of your files.",
        hint="Copy it beside the notebook, or read it as a dataset.",
    )
