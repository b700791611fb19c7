"""Which packages a container's layers have otherwise than its base: by names and lists, nothing is executed."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterator
from typing import Final

from atoll.checkpoints.changes import listed_files, name_and_version
from atoll.checkpoints.models import Package, PackageKind
from atoll.checkpoints.node_models import plain
from atoll.oci.lowers import Lowers
from atoll.oci.stack import Folder, names, read_lower

_PYTHON: Final = re.compile(rb"(?:.*/)?(?:site|dist)-packages")
_DIST_INFO: Final = re.compile(rb"(?:.*/)?(?:site|dist)-packages/[^/]+\.dist-info")
_CONDA: Final = re.compile(rb"(?:.*/)?conda-meta")
_SYSTEM: Final = b"var/lib/dpkg"
_STANZA: Final = re.compile(rb"^(Package|Version|Status): (.+)$", re.MULTILINE)
_LIST_MOST: Final = 64 << 20  # bytes of a list of files, or of all packages of a system
_MOST: Final = 10_000  # packages that are told of: more than people look at

Versions = dict[str, str]
_Reader = Callable[[bytes], tuple[str, str] | None]


class Packages:
    """Collects, directory by directory, what a `Stack` visits; then tells what differs."""

    def __init__(self, base: Lowers) -> None:
        self._base = base
        self._before: dict[tuple[PackageKind, bytes], Versions] = {}  # by kind and place
        self._after: dict[tuple[PackageKind, bytes], Versions] = {}
        self._records: dict[tuple[bytes, str], set[bytes]] = {}

    def visit(self, folder: Folder) -> None:
        """Looks at one directory."""
        if _PYTHON.fullmatch(folder.path):
            self._listed(PackageKind.PYTHON, folder, _of_dist_info)
        elif _CONDA.fullmatch(folder.path):
            self._listed(PackageKind.CONDA, folder, _of_conda)
        elif folder.path == _SYSTEM and b"status" in folder.names:
            here = (PackageKind.SYSTEM, folder.path)
            self._after[here] = _of_system(folder.read(b"status", _LIST_MOST))
            before = read_lower(self._base, _SYSTEM + b"/status", _LIST_MOST)
            self._before[here] = _of_system(before)
        elif _DIST_INFO.fullmatch(folder.path):
            self._dist_info(folder)

    def changes(self) -> list[Package]:
        """Added, removed and upgraded ones, by kind and name."""
        found = {
            (kind, plain(name), _plain(before.get(name)), _plain(after.get(name)))
            for (kind, place), after in self._after.items()
            for before in (self._before.get((kind, place), {}),)
            for name in before.keys() | after.keys()
            if before.get(name) != after.get(name)
        }
        # conda's packages have a dist-info, too
        conda = {(name, before, after) for kind, name, before, after in found if kind == "conda"}
        return [
            Package(name=name, before=before, after=after, kind=kind)
            for kind, name, before, after in sorted(found, key=_order)
            if kind != "python" or (name, before, after) not in conda
        ][:_MOST]

    def over_base(self) -> Versions:
        """The Python packages that are there and not in the base: name → version."""
        return {
            one.name: one.after
            for one in self.changes()
            if one.kind == "python" and one.after is not None
        }

    def files(self) -> Iterator[bytes]:
        """What belongs to Python packages that differ, as they list it; at most their two versions'."""
        for (kind, place), after in self._after.items():
            if kind != "python":
                continue
            before = self._before.get((kind, place), {})
            for name in before.keys() | after.keys():
                if before.get(name) == after.get(name):
                    continue
                yield from self._records.get((place, name), ())
                if name in before:
                    yield from self._recorded_before(place, name, before[name])

    def _listed(self, kind: PackageKind, folder: Folder, read: _Reader) -> None:
        own: Versions = {}
        removed: set[bytes] = set()
        for name, status in folder.names.items():
            known = read(name)
            if known is None:
                continue
            if stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode):
                own[known[0]] = known[1]
                self._owned(folder.path, known[0]).add(folder.path + b"/" + name)
            else:
                removed.add(name)
        before: Versions = {}
        left: Versions = {}
        if folder.base or folder.hidden:
            for name in names(self._base, folder.path):
                known = read(name)
                if known is None or self._base.find(folder.path + b"/" + name) is None:
                    continue
                before[known[0]] = known[1]
                if name not in removed and not folder.hidden:
                    left[known[0]] = known[1]
        self._before[kind, folder.path] = before
        self._after[kind, folder.path] = {**left, **own}

    def _dist_info(self, folder: Folder) -> None:
        place, _, last = folder.path.rpartition(b"/")
        known = name_and_version(os.fsdecode(last))
        record = folder.read(b"RECORD", _LIST_MOST) if known is not None else None
        if known is not None and record is not None:
            self._owned(place, known[0]).update(_owned(record, place))

    def _owned(self, place: bytes, name: str) -> set[bytes]:
        return self._records.setdefault((place, name), set())

    def _recorded_before(self, place: bytes, name: str, version: str) -> Iterator[bytes]:
        for folder in names(self._base, place):
            if name_and_version(os.fsdecode(folder)) == (name, version):
                yield place + b"/" + folder
                path = b"/".join((place, folder, b"RECORD"))
                yield from _owned(read_lower(self._base, path, _LIST_MOST) or b"", place)


def _owned(record: bytes, place: bytes) -> set[bytes]:
    """What a package has right below its site-packages, as `PLACE/NAME`, and each file elsewhere."""
    found = set()
    for path in listed_files(record, os.fsdecode(place)):
        if path.startswith(place + b"/"):
            first = path[len(place) + 1 :].partition(b"/")[0]
            found.add(place + b"/" + first)
        elif not path.startswith((b"/", b"..")):
            found.add(os.fsencode(posixpath.normpath(os.fsdecode(path))))
    return found


def _plain(version: str | None) -> str | None:
    return plain(version) if version is not None else None


def _order(one: tuple[PackageKind, str, str | None, str | None]) -> tuple[str, str, str, str]:
    kind, name, before, after = one
    return kind, name, before or "", after or ""


def _of_dist_info(name: bytes) -> tuple[str, str] | None:
    return name_and_version(os.fsdecode(name))


def _of_conda(name: bytes) -> tuple[str, str] | None:
    """`name-version-build.json`, as conda names its records."""
    if not name.endswith(b".json") or not name.isascii():
        return None
    parts = name.decode("ascii").removesuffix(".json").rsplit("-", 2)
    return (parts[0], parts[1]) if len(parts) == 3 and parts[0] else None


def _of_system(status: bytes | None) -> Versions:
    """The installed packages of dpkg's status file (deb822(5))."""
    found: Versions = {}
    for stanza in (status or b"").split(b"\n\n"):
        fields = {key: value.strip() for key, value in _STANZA.findall(stanza)}
        if fields.get(b"Status", b"").endswith(b" installed") and b"Package" in fields:
            name = fields[b"Package"].decode("utf-8", "backslashreplace")
            found[name] = fields.get(b"Version", b"").decode("utf-8", "backslashreplace")
    return found
