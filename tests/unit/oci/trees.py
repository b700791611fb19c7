"""Directory trees for tests: making random ones, changing them, and seeing whether two are the same."""

# Paths here are bytes, which pathlib does not take.
# ruff: noqa: PTH101, PTH102, PTH104, PTH108, PTH112, PTH113, PTH114, PTH115, PTH211

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import zstandard
from atoll.oci.image import Compression, Descriptor, base_config, build, digest_of
from atoll.oci.layout import LayoutStore
from atoll.oci.store import put_blob
from hypothesis import strategies as st

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)

NAMES = (
    b"a",
    b"b",
    b"a.b",
    b"a-b",
    b"lib",
    "grüße".encode(),
    b"not \xff utf-8 \xfe",
    b"new\nline\x1b[31m",
    b" space ",
    b"n" * 101,
    b"N" * 250,
)


@dataclass(frozen=True)
class Step:
    """One thing done to a tree; what cannot be done there is passed over."""

    verb: str
    place: tuple[int, ...]  # which directory, which name; taken modulo what there is
    other: tuple[int, ...]
    value: int


VERBS = (
    ["write"] * 3
    + ["mkdir", "link", "remove", "rename"] * 2
    + ["symlink", "chmod", "touch", "append", "swap", "attribute"]
)

steps = st.builds(
    Step,
    st.sampled_from(VERBS),
    st.tuples(st.integers(0, 40), st.integers(0, len(NAMES) - 1)),
    st.tuples(st.integers(0, 40), st.integers(0, len(NAMES) - 1)),
    st.integers(0, 1 << 20),
)
rounds = st.lists(st.lists(steps, max_size=12), min_size=1, max_size=4)


def directories(root: bytes) -> list[bytes]:
    return sorted(here for here, _, _ in os.walk(root) if here.count(b"/") < root.count(b"/") + 4)


def _path(root: bytes, place: tuple[int, ...]) -> bytes:
    found = directories(root)
    return found[place[0] % len(found)] + b"/" + NAMES[place[1]]


def _remove(path: bytes) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def do(root: Path, step: Step) -> None:
    """Does one step in the tree at `root`."""
    top = os.fsencode(root)
    path, other = _path(top, step.place), _path(top, step.other)
    with suppress(OSError, shutil.Error):
        _VERBS[step.verb](path, other, step.value)


def _write(path: bytes, _: bytes, value: int) -> None:
    Path(os.fsdecode(path)).write_bytes(value.to_bytes(4, "big") * (value % 600))


def _append(path: bytes, _: bytes, value: int) -> None:
    with Path(os.fsdecode(path)).open("ab") as file:
        file.write(b"%d" % value)


def _swap(path: bytes, _: bytes, value: int) -> None:
    """A file becomes a directory with a file in it, or the other way round."""
    was_directory = os.path.isdir(path) and not os.path.islink(path)
    _remove(path)
    if was_directory:
        _write(path, b"", value)
    else:
        os.mkdir(path)
        _write(path + b"/inside", b"", value)


def _chmod(path: bytes, _: bytes, value: int) -> None:
    if not os.path.islink(path):
        os.chmod(path, (value & 0o777) | (0o700 if os.path.isdir(path) else 0o400))


def _touch(path: bytes, _: bytes, value: int) -> None:
    os.utime(path, ns=(0, value * 1_000_003), follow_symlinks=False)


def _attribute(path: bytes, _: bytes, value: int) -> None:
    if os.path.isfile(path) and not os.path.islink(path):
        os.setxattr(path, b"user.atoll.test", b"%d" % value)


_VERBS = {
    "write": _write,
    "append": _append,
    "swap": _swap,
    "mkdir": lambda path, _, __: os.mkdir(path),
    "symlink": lambda path, other, _: os.symlink(other[-90:] or b"x", path),
    "link": lambda path, other, _: (
        os.link(other, path, follow_symlinks=False)
        if stat.S_ISREG(os.lstat(other).st_mode)
        else None
    ),
    "remove": lambda path, _, __: _remove(path),
    "rename": lambda path, other, _: os.rename(path, other),
    "chmod": _chmod,
    "touch": _touch,
    "attribute": _attribute,
}


def snapshot(root: Path, *, attributes: bool = True) -> dict[bytes, tuple[object, ...]]:
    """Everything that must survive: kind, mode, time, content or target, attributes, link group."""
    top = os.fsencode(root)
    found: dict[bytes, tuple[object, ...]] = {}
    groups: dict[int, list[bytes]] = {}
    for here, directories, files in os.walk(top):
        for name in directories + files:
            path = here + b"/" + name
            status = os.lstat(path)
            inside: object = None
            if stat.S_ISREG(status.st_mode):
                inside = Path(os.fsdecode(path)).read_bytes()
                groups.setdefault(status.st_ino, []).append(path[len(top) + 1 :])
            elif stat.S_ISLNK(status.st_mode):
                inside = os.readlink(path)
            extra: dict[str, bytes] = {}
            if attributes and not stat.S_ISLNK(status.st_mode):
                extra = {
                    key: os.getxattr(path, key)
                    for key in os.listxattr(path)
                    if key.startswith("user.atoll")
                }
            found[path[len(top) + 1 :]] = (
                stat.S_IFMT(status.st_mode),
                stat.S_IMODE(status.st_mode) if not stat.S_ISLNK(status.st_mode) else 0,
                status.st_mtime_ns,
                inside,
                tuple(sorted(extra.items())),
            )
    for paths in groups.values():
        for path in paths:
            found[path] += (tuple(sorted(paths)),)
    return found


def differences(expected: Path, actual: Path, *, attributes: bool = True) -> dict[bytes, object]:
    """What is not the same in two trees; empty where nothing differs."""
    one = snapshot(expected, attributes=attributes)
    two = snapshot(actual, attributes=attributes)
    return {
        path: (one.get(path), two.get(path))
        for path in one.keys() | two.keys()
        if one.get(path) != two.get(path)
    }


def member(
    name: str,
    kind: bytes = tarfile.REGTYPE,
    content: bytes = b"",
    link: str = "",
    mode: int = 0o644,
) -> tuple[tarfile.TarInfo, bytes]:
    """One member of an archive that Python's own tarfile writes."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    info.mode = mode
    info.size = len(content)
    return info, content


def archive(
    members: Iterable[tuple[tarfile.TarInfo, bytes]], *, pax: Mapping[str, str] | None = None
) -> bytes:
    """A tar file of these members; `pax` is put into the first one's extended header."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            if pax:
                info.pax_headers = dict(pax)
                pax = None
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def image_of(store: LayoutStore, *tars: bytes, name: str = "made") -> Descriptor:
    """An image of these layers, made without the library's own writer of layers."""
    layers = []
    config = base_config(created=NOW, labels={})
    for tar in tars:
        packed = zstandard.ZstdCompressor().compress(tar)
        put_blob(store, packed, digest_of(packed))
        layers.append(Descriptor(Compression.ZSTD.value, digest_of(packed), len(packed)))
        config = config.appended(digest_of(tar), created=NOW, comment="test")
    return store.publish(build(config, layers, {}), name)


def paths(root: Path) -> set[str]:
    """All that is below a directory."""
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def debris(directory: Path) -> list[str]:
    """What lies in a directory that its user did not name."""
    return sorted(path.name for path in directory.iterdir() if path.name.startswith("."))
