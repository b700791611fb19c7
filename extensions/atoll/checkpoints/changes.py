"""What changed in an environment: packages by their dist-info, everything else by directory.

Nothing of the environment is executed or imported; only names and lists are read.
"""

from __future__ import annotations

import csv
import io
import json
import os
import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from atoll import oci
from atoll.checkpoints.base import normalised
from atoll.checkpoints.models import Changes, DirectoryChange, Package
from atoll.checkpoints.policy import bytecode
from atoll.kit.files import read_bounded

_DIST_INFO: Final = ".dist-info"
_LIST_MOST: Final = 64 << 20  # bytes of a RECORD that are read: 500,000 files
_URL_MOST: Final = 1 << 16  # bytes of a direct_url.json that are read


@dataclass(frozen=True, slots=True)
class Installed:
    """The packages of an environment's own: name → version, path → package, editable → source."""

    versions: Mapping[str, str]
    owners: Mapping[bytes, str] = field(default_factory=dict)
    editable: Mapping[str, str] = field(default_factory=dict)


def name_and_version(dist_info: str) -> tuple[str, str] | None:
    """What the name of a dist-info directory says (PEP 427), None where it says nothing."""
    name, separator, version = dist_info.removesuffix(_DIST_INFO).rpartition("-")
    if not separator or not name or not dist_info.endswith(_DIST_INFO) or not dist_info.isascii():
        return None
    return normalised(name), version


def listed_files(record: bytes, beside: str) -> list[bytes]:
    """The paths, relative to the environment, that a RECORD lists; `beside` is its site-packages."""
    text = record.decode("utf-8", "surrogateescape")
    try:
        names = [row[0] for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error:
        return []  # not a list at all: then nothing is known to belong to the package
    return [os.fsencode(posixpath.normpath(posixpath.join(beside, name))) for name in names]


def installed(root: Path, site_packages: Path, *, with_files: bool = True) -> Installed:
    """What is installed in the environment at `root`; broken installations are passed over."""
    versions: dict[str, str] = {}
    owners: dict[bytes, str] = {}
    editable: dict[str, str] = {}
    beside = site_packages.relative_to(root).as_posix()
    try:
        folders = sorted(site_packages.iterdir())
    except OSError:
        return Installed({})
    for folder in folders:
        found = name_and_version(folder.name)
        if found is None:
            continue
        name, versions[found[0]] = found
        if not with_files:
            continue
        for path in listed_files(_read(folder / "RECORD"), beside):
            owners[path] = name
        if source := _editable(_read(folder / "direct_url.json")):
            editable[name] = source
    return Installed(versions, owners, editable)


def effective(base: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """What an import finds: the environment's own packages shadow the base's."""
    return {**base, **own}


def packages_changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[Package]:
    """The packages that differ, by name."""
    return [
        Package(name=name, before=before.get(name), after=after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def by_directory(
    files: Iterable[tuple[bytes, int]], top: Callable[[bytes], str] | None = None
) -> list[DirectoryChange]:
    """Files (path, bytes) summed up by the top directory that says something to people."""
    sums: dict[str, list[int]] = {}
    for path, size in files:
        total = sums.setdefault((top or _top)(path), [0, 0])
        total[0] += 1
        total[1] += size
    return [
        DirectoryChange(path=path, files=n, size=size) for path, (n, size) in sorted(sums.items())
    ]


def describe(
    found: oci.Changes,
    now: Installed,
    *,
    base: Mapping[str, str],
    before: Mapping[str, str] | None,
    top: Callable[[bytes], str] | None = None,
) -> Changes:
    """What the changed files mean. `before` is what was installed then; None: nothing but the base.

    A file that belongs to a package counts as the package's where that changed; what an uninstalled
    or upgraded package left behind is not told a second time.
    """
    earlier = before if before is not None else {}
    moved = {item.name for item in packages_changed(earlier, now.versions)}
    vanished = any(name in moved for name in earlier)
    others = [
        (change.path, change.size)
        for change in (*found.added, *found.changed)
        if now.owners.get(change.path) not in moved
    ]
    if not vanished:
        others += [(change.path, 0) for change in found.removed]
    else:
        others += [(c.path, 0) for c in found.removed if not c.path.startswith((b"lib/", b"bin/"))]
    return Changes(
        packages=packages_changed(effective(base, earlier), effective(base, now.versions)),
        directories=by_directory(others, top),
        files=found.files,
        size=found.size,
    )


@dataclass(slots=True)
class Listing:
    """The files of an image: path → (bytes, mtime in ns, link), and which package each belongs to."""

    files: dict[bytes, tuple[int, int, bytes]] = field(default_factory=dict)
    owners: dict[bytes, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    gone: set[bytes] = field(default_factory=set)  # of the base, where that is not among the layers


def listing(store: oci.Content, digest: str, only: Collection[str] | None = None) -> Listing:
    """The files of an environment, read from its layers, or from `only` these. Raises OciError."""
    found = Listing()
    records: dict[bytes, bytes] = {}
    for entry, read in _entries(store, digest, only):
        if entry.kind in (oci.Kind.WHITEOUT, oci.Kind.OPAQUE):
            _remove(found.files, entry)
            if only is not None and entry.kind is oci.Kind.WHITEOUT:
                found.gone.add(entry.path)
        elif entry.kind is not oci.Kind.DIRECTORY:
            found.gone.discard(entry.path)
            found.files[entry.path] = (entry.size, entry.mtime_ns, entry.link)
            if entry.path.endswith(b".dist-info/RECORD") and entry.size <= _LIST_MOST:
                records[entry.path] = read()
    for path, record in records.items():
        folder = posixpath.dirname(os.fsdecode(path))
        package = name_and_version(posixpath.basename(folder))
        if path in found.files and package is not None:
            found.versions[package[0]] = package[1]
            for owned in listed_files(record, posixpath.dirname(folder)):
                found.owners[owned] = package[0]
    return found


def sources(store: oci.Content, digest: str, only: Collection[str] | None = None) -> dict[str, str]:
    """The packages of an environment that were installed from a URL or a path, with that.

    Read from its layers, or from `only` these (PEP 610). Raises OciError.
    """
    found: dict[bytes, tuple[int, int, bytes]] = {}
    urls: dict[bytes, bytes] = {}
    for entry, read in _entries(store, digest, only):
        if entry.kind in (oci.Kind.WHITEOUT, oci.Kind.OPAQUE):
            _remove(found, entry)
        elif entry.path.endswith(b".dist-info/direct_url.json"):
            found[entry.path] = (entry.size, 0, b"")
            urls[entry.path] = read() if entry.size <= _URL_MOST else b""
    named: dict[str, str] = {}
    for path in found:
        package = name_and_version(posixpath.basename(posixpath.dirname(os.fsdecode(path))))
        if package is not None:
            named[package[0]] = _url(urls[path])
    return named


def _entries(
    store: oci.Content, digest: str, only: Collection[str] | None
) -> Iterator[tuple[oci.Entry, Callable[[], bytes]]]:
    """The entries of an image's layers, or of `only` these, the lowest first, and what reads each."""
    image = oci.load_image(store, digest)
    for layer, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=True):
        if only is None or layer.digest in only:
            with oci.open_layer(store, layer, diff_id) as reader:
                for entry in reader:
                    yield entry, reader.read


def compare(
    before: Listing,
    after: Listing,
    base: Mapping[str, str],
    *,
    top: Callable[[bytes], str] | None = None,
) -> Changes:
    """What differs from one environment to another; both over the same base."""
    kinds = oci.Kind.FILE

    def differing(one: Listing, other: Listing) -> list[oci.Change]:
        return [
            oci.Change(path, kinds, facts[0])
            for path, facts in one.files.items()
            if other.files.get(path) != facts and not bytecode(path)
        ]

    newer = differing(after, before)
    found = oci.Changes(
        added=tuple(change for change in newer if change.path not in before.files),
        changed=tuple(change for change in newer if change.path in before.files),
        removed=(
            *(change for change in differing(before, after) if change.path not in after.files),
            *(
                oci.Change(path, kinds, 0)
                for path in sorted(after.gone - before.gone)
                if path not in before.files
            ),
        ),
    )
    now = Installed(after.versions, after.owners)
    return describe(found, now, base=base, before=before.versions, top=top)


def _remove(files: dict[bytes, tuple[int, int, bytes]], entry: oci.Entry) -> None:
    below = entry.path + b"/" if entry.path else b""
    if entry.kind is oci.Kind.WHITEOUT:
        files.pop(entry.path, None)
    for path in [path for path in files if path.startswith(below)]:
        del files[path]


def _read(path: Path) -> bytes:
    found = read_bounded(path, 0, _LIST_MOST)
    return found[0] if found is not None else b""  # a package without it, or removed while we look


def _editable(direct_url: bytes) -> str | None:
    try:
        document = json.loads(direct_url or b"{}")
        if document.get("dir_info", {}).get("editable") is True:
            return oci.shown(os.fsencode(unquote(urlsplit(document["url"]).path)))
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return None  # not PEP 610: then it says nothing
    return None


def _url(direct_url: bytes) -> str:
    try:
        return str(json.loads(direct_url)["url"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return "a place that is not known any more"


def place_in_container(path: bytes) -> bytes:
    """`etc`, `opt/tools`, or what lies right below a site-packages."""
    parts = path.split(b"/")
    for number, part in enumerate(parts[:-1]):
        if part in (b"site-packages", b"dist-packages"):
            return b"/".join(parts[: number + 2])
    return b"/".join(parts[: max(1, min(2, len(parts) - 1))])


def shown_in_container(path: bytes) -> str:
    """The same for people."""
    return "/" + oci.shown(place_in_container(path))


def _top(path: bytes) -> str:
    """`share`, `etc`, a file at the root, or what lies right below site-packages."""
    parts = oci.shown(path).split("/")
    depth = parts.index("site-packages") + 2 if "site-packages" in parts else 1
    return "/".join(parts[: max(1, min(depth, len(parts)))])
