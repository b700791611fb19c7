"""What a person installed into the home instead of the environment, which no checkpoint has.

Only names of directories are read, and nothing of what they hold is executed. A home is its owner's:
it may hold millions of files, links to anywhere, and mounts of other file systems, so that the look
follows no link, leaves no file system, and ends in time.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

_DIST_INFO: Final = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._]*)-(?P<version>[^-]+)\.dist-info")
_PYTHON: Final = re.compile(r"python3\.\d{1,2}")
_DEEP: Final = 4  # directories below the home in which an environment is looked for
_ENTRIES_MOST: Final = 20_000
_SECONDS_MOST: Final = 1.0
_NAMED_MOST: Final = 50  # of packages, and of environments
_KEPT_S: Final = 60.0  # events come in bursts, and a home on a network file system is slow
_MARKS: Final = {"pyvenv.cfg": "venv", "conda-meta": "conda"}
_PASSED_OVER: Final = frozenset(
    {".atoll", ".cache", ".git", ".local", ".npm", ".ipython", "node_modules"}
)


@dataclass(frozen=True, slots=True)
class Package:
    """A package in the home, which every Python of its version finds."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Place:
    """An environment in the home; `path` is below it."""

    path: str
    kind: str  # venv or conda


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What was found, the first of it by name; `complete` is False where not all was looked at."""

    packages: list[Package] = field(default_factory=list)
    package_count: int = 0
    environments: list[Place] = field(default_factory=list)
    complete: bool = True


class _Enough(Exception):  # noqa: N818  # nothing is wrong
    """The look has taken what it may."""


class _Look:
    """One look at a home."""

    def __init__(self, home: Path, clock: Callable[[], float]) -> None:
        self._home = home
        self._clock = clock
        self._until = clock() + _SECONDS_MOST
        self._left = _ENTRIES_MOST
        self._device = home.stat().st_dev

    def packages(self) -> Iterator[Package]:
        """What `pip install --user` put there, for whatever Python."""
        lib = self._below(self._home, ".local", "lib")
        for python in self._directories(lib):
            if _PYTHON.fullmatch(python.name) is None:
                continue
            for one in self._directories(self._below(python, "site-packages")):
                if (known := _DIST_INFO.fullmatch(one.name)) is not None:
                    yield Package(known["name"].replace("_", "-").lower(), known["version"])

    def environments(self) -> Iterator[Place]:
        """Breadth first: what lies deep is found last."""
        folders = [self._home]
        for _ in range(_DEEP):
            deeper: list[Path] = []
            for folder in folders:
                for one in self._directories(folder):
                    if one.name in _PASSED_OVER:
                        continue
                    kind = next((_MARKS[mark] for mark in _MARKS if _has(one, mark)), None)
                    if kind is None:
                        deeper.append(one)
                    else:
                        yield Place(one.relative_to(self._home).as_posix(), kind)
            folders = deeper

    def _directories(self, folder: Path | None) -> list[Path]:
        """The directories in a directory: no links, nothing of another file system."""
        found: list[Path] = []
        if folder is None:
            return found
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._count()
                    if entry.is_dir(follow_symlinks=False) and self._here(Path(entry.path)):
                        found.append(Path(entry.path))
        except OSError:
            return found  # not hers to read, or gone meanwhile
        return sorted(found)

    def _below(self, folder: Path, *names: str) -> Path | None:
        """A directory below another one, None where a part of its path is a link or none."""
        for name in names:
            folder = folder / name
            if folder.is_symlink() or not folder.is_dir() or not self._here(folder):
                return None
        return folder

    def _here(self, folder: Path) -> bool:
        return os.lstat(folder).st_dev == self._device

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0 or self._clock() > self._until:
            raise _Enough


def look(home: Path, clock: Callable[[], float] = time.monotonic) -> Elsewhere:
    """What lies in the home. Blocks, for a second or so at most."""
    packages: dict[Package, None] = {}
    environments: list[Place] = []
    complete = True
    try:
        looking = _Look(home, clock)
        packages.update((one, None) for one in looking.packages())
        for place in looking.environments():
            environments.append(place)
            if len(environments) == _NAMED_MOST:
                raise _Enough  # noqa: TRY301  # nothing is wrong
    except _Enough:
        complete = False
    except OSError:
        complete = False  # there is no home
    named = sorted(packages, key=lambda one: one.name)
    return Elsewhere(named[:_NAMED_MOST], len(named), environments, complete)


class Looks:
    """Looks at one home, at most once a minute however many ask. Blocks."""

    def __init__(self, home: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._home = home
        self._clock = clock
        self._lock = Lock()
        self._last: tuple[float, Elsewhere] | None = None

    def last(self) -> Elsewhere:
        """What is there, as of a minute ago at most."""
        with self._lock:
            if self._last is None or self._clock() - self._last[0] > _KEPT_S:
                found = look(self._home, self._clock)
                self._last = self._clock(), found
            return self._last[1]


def _has(folder: Path, mark: str) -> bool:
    return os.path.lexists(folder / mark)
