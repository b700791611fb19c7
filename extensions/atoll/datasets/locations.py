"""Where sources may be: the folders that the operator allows, and nothing that leads out of them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from atoll.datasets.models import PLATFORM, Location
from atoll.datasets.settings import DatasetSettings
from atoll.datasets.source import Source, SourceError
from atoll.kit.errors import AtollError, ForbiddenError, InvalidError
from atoll.kit.home import Home
from atoll.kit.names import directory_name

_SHOWN_MOST: Final = 300
_NAME_MOST: Final = 255  # bytes of a name, on every file system we know


class Allowed(BaseModel, frozen=True):
    """What one owner may register: anything in `roots`, of `closed` only what `roots` has of it."""

    roots: tuple[Path, ...]  # the first is where relative paths begin
    closed: Path  # the platform's own state, which a wide root must not open

    def inside(self, real: Path) -> bool:
        """Whether a path without symbolic links is allowed."""
        roots = [Path(os.path.realpath(root)) for root in self.roots]
        closed = Path(os.path.realpath(self.closed))
        if real.is_relative_to(closed):
            roots = [root for root in roots if root.is_relative_to(closed) and root != closed]
        return any(real.is_relative_to(root) for root in roots)

    def refusal(self, path: str) -> ForbiddenError:
        """What is said of a path outside; it tells nothing of what is there."""
        folders = ", ".join(str(root) for root in self.roots)
        return ForbiddenError(
            f"{_shown(path)} is outside of where your datasets may be.",
            hint=f"Put the data into one of these: {folders}. An administrator can allow further"
            " folders (`roots` in the section [datasets] of the settings).",
        )


def allowed(owner: str, home: Home, settings: DatasetSettings) -> Allowed:
    """Where an owner's sources may be: users have their own home besides what is open to all."""
    shared = (home.data, *settings.roots)
    own = () if owner == PLATFORM else (home.homes / directory_name(owner),)
    return Allowed(roots=(*own, *shared), closed=home.path)


def placed(location: Location, where: Allowed) -> Location:
    """The location with its path made absolute, if it is allowed as things stand.

    The probe checks again what it opened. Raises InvalidError and ForbiddenError.
    """
    text = location.path
    if not text.isprintable() or any(
        len(os.fsencode(part)) > _NAME_MOST for part in text.split("/")
    ):
        raise InvalidError(
            "The path has characters that cannot be shown, or names that no file can have."
        )
    if ".." in Path(text).parts:
        raise InvalidError(
            f"{_shown(text)} has `..` in it.", hint="Give the path without going upwards."
        )
    if "://" in text:
        raise InvalidError(
            f"{_shown(text)} is an address, not a path.",
            hint="Files and folders of this machine can be registered; save the data as one.",
        )
    path = where.roots[0] / (text[2:] if text.startswith("~/") else text)
    try:
        inside = where.inside(Path(os.path.realpath(path)))
    except (OSError, ValueError) as error:  # a name too long, a NUL
        raise InvalidError(f"{_shown(text)} cannot be a path: {error}.") from error
    if not inside:
        raise where.refusal(text)
    return location.model_copy(update={"path": str(path)})


def check_there(said: str, placed: Location, where: Allowed) -> None:
    """Raise InvalidError where a path that is not absolute names nothing, saying where it began.

    Whoever writes one may have meant another folder. An absolute path may be of what comes later.
    """
    if Path(said).is_absolute():
        return
    try:
        os.lstat(placed.path)
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidError(
            f"There is nothing at {_shown(said)!r} in {where.roots[0]}.",
            hint="That is where a path begins that is not absolute. Give the path from there, or"
            " the whole path.",
        ) from None
    except OSError:
        return  # the probe says what is wrong with it


def _files(root: Path, where: Allowed) -> Iterator[Path]:
    """The files in and below a folder; raises ForbiddenError for a link that leads outside."""
    for folder, names, files in os.walk(root, onerror=_unlisted):
        names.sort()
        for name in sorted(files):
            path = Path(folder, name)
            if path.is_symlink() and not where.inside(Path(os.path.realpath(path))):
                raise where.refusal(str(path))
            yield path


def opened(location: Location, where: Allowed) -> Source:
    """The source, opened once and checked after: what is read is what was checked.

    Raises SourceError where it cannot be reached, ForbiddenError where it leads outside.
    """
    path = Path(location.path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _unopened(path, error) from error
    real = Path(f"/proc/self/fd/{descriptor}").readlink()
    if not where.inside(real):
        os.close(descriptor)
        raise where.refusal(location.path)
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        return Source.folder(path, real, tuple(_files(real, where)), descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise SourceError(
            "not_a_file", f"{path} is neither a file nor a folder.", hint="Give one of these."
        )
    return Source.file(path, real, descriptor)


def _unopened(path: Path, error: OSError) -> AtollError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return SourceError(
            "not_found",
            f"There is nothing at {path}.",
            hint="Put it back, or change the dataset's path.",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return SourceError(
            "permission",
            f"The platform may not read {path}.",
            hint="Change its permissions, then look again.",
        )
    return SourceError("unreachable", f"{path} cannot be opened: {error.strerror}.")


def _unlisted(error: OSError) -> None:
    raise SourceError(
        "permission",
        f"{error.filename} cannot be listed: {error.strerror}.",
        hint="Change its permissions, then look again.",
    )


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_MOST else text[:_SHOWN_MOST] + "…"
