"""The report of what a container has otherwise than the image under it: packages, and the rest by directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from atoll import oci
from atoll.agent.packages import Packages
from atoll.agent.policy import why_left_out
from atoll.agent.priority import give_way
from atoll.agent.runtimes.container import Container
from atoll.checkpoints.changes import place_in_container
from atoll.checkpoints.models import Changes, DirectoryChange, Package
from atoll.checkpoints.policy import bytecode
from atoll.oci.lowers import Lowers
from atoll.oci.stack import Stack, Totals

_MOST: Final = 20_000  # directories that are told apart while it is counted
_TOLD: Final = 2_000  # and in the report, the largest
_AT_ONCE: Final = 32  # differences that are looked at in half a millisecond
_NAME_MOST: Final = 200  # characters of a package's name or version


@dataclass(frozen=True, slots=True)
class Report:
    """What changed, the Python packages over the base, and how much of the layers can still be seen."""

    changes: Changes
    packages: dict[str, str] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)


@dataclass(frozen=True, slots=True)
class Since:
    """The moment of a live save, and the packages that the container had then otherwise than its image."""

    at_ns: int
    packages: tuple[Package, ...]


def what_changed(
    container: Container,
    own: int = 0,
    *,
    since: Since | None = None,
    limits: oci.Limits = oci.DEFAULT_LIMITS,
) -> Report:
    """What the container shows otherwise than the image under its `own` uppermost lower layers.

    With `since`, what it has otherwise since then: packages, and files that were written; files
    that are gone leave no trace of when. Nothing is frozen or read but names, sizes, and the lists
    of packages. Raises `LimitError`, `SourceError`, `OSError` where the container goes away.
    """
    base = container.lowers[own:]
    found = Packages(Lowers(base))
    stack = Stack(
        container.upper,
        container.lowers[:own],
        base,
        exclude=why_left_out(container),
        limits=limits,
        visit=found.visit,
    )
    sums = _Sums()
    for number, one in enumerate(stack.differences()):
        if number % _AT_ONCE == 0:
            give_way()
        if not bytecode(one.path) and (since is None or one.changed_ns >= since.at_ns):
            sums.add(one.path, one.size)
    files, size = sums.files, sums.size
    layers = Lowers((container.upper, *container.lowers))
    for path in sorted(set(found.files())):
        sums.take_out(path, layers)
    packages = found.changes()
    changes = Changes(
        packages=packages if since is None else _since(packages, since.packages),
        directories=sums.directories(),
        files=files,
        size=size,
    )
    return Report(changes, _short(found.over_base()), stack.totals)


def _since(now: Sequence[Package], then: Sequence[Package]) -> list[Package]:
    """How packages differ now from how they differed then, both against the same image."""
    before = {(one.kind, one.name): one for one in then}
    after = {(one.kind, one.name): one for one in now}
    found = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        was = old.after if old is not None else new.before if new is not None else None
        there = new.after if new is not None else old.before if old is not None else None
        if was != there:
            found.append(Package(name=key[1], kind=key[0], before=was, after=there))
    return found


class _Sums:
    """Files and bytes by the directory that says something to people."""

    def __init__(self) -> None:
        self.files = 0
        self.size = 0
        self._by: dict[bytes, list[int]] = {}

    def add(self, path: bytes, size: int) -> None:
        """Counts one file."""
        self.files += 1
        self.size += size
        place = place_in_container(path)
        if place not in self._by and len(self._by) >= _MOST:
            place = place.partition(b"/")[0]
        total = self._by.setdefault(place, [0, 0])
        total[0] += 1
        total[1] += size

    def take_out(self, path: bytes, layers: Lowers) -> None:
        """What belongs to a package is told with that: one thing in its site-packages, or a file."""
        if path in self._by:
            del self._by[path]
            return
        total = self._by.get(place_in_container(path))
        if total is None:
            return
        seen = layers.find(path)
        total[0] = max(0, total[0] - 1)
        total[1] = max(0, total[1] - (seen.status.st_size if seen is not None else 0))

    def directories(self) -> list[DirectoryChange]:
        """By name; where there are too many, the largest."""
        kept = [(path, files, size) for path, (files, size) in self._by.items() if files]
        if len(kept) > _TOLD:
            kept = sorted(kept, key=lambda one: (one[2], one[1]), reverse=True)[:_TOLD]
        return [
            DirectoryChange(path="/" + oci.shown(path)[:4000], files=files, size=size)
            for path, files, size in sorted(kept)
        ]


def _short(packages: dict[str, str]) -> dict[str, str]:
    return {
        name: version
        for name, version in packages.items()
        if len(name) <= _NAME_MOST and len(version) <= _NAME_MOST
    }
