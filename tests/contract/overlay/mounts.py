"""Real overlay mounts for tests, and everything about a tree that a layer has to carry."""

# Paths here are bytes, which pathlib does not take.
# ruff: noqa: PTH101, PTH102, PTH108, PTH115, PTH116, PTH211

from __future__ import annotations

import os
import shutil
import stat
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from atoll.oci.image import Compression, Descriptor
from atoll.oci.layout import LayoutStore
from atoll.oci.publish import export
from hypothesis import strategies as st

from tests.unit.oci import trees
from tests.unit.oci.trees import NAMES, Step


@dataclass(frozen=True)
class Overlay:
    """A mounted overlay: its upper directory, its lowers from the top, and what they show together."""

    upper: Path
    lowers: tuple[Path, ...]
    merged: Path


@contextmanager
def mounted(top: Path, lowers: tuple[Path, ...], *, options: str = "") -> Iterator[Overlay]:
    """A new upper directory over `lowers`, mounted at `top/merged` until the end of the block."""
    upper, work, merged = top / "upper", top / "work", top / "merged"
    for directory in (upper, work, merged):
        directory.mkdir(parents=True)
    below = ":".join(map(str, lowers))
    chosen = f"lowerdir={below},upperdir={upper},workdir={work},index=off{options}"
    run("mount", "-t", "overlay", "overlay", "-o", chosen, merged)
    try:
        yield Overlay(upper, lowers, merged)
    finally:
        run("umount", merged)


@contextmanager
def mounted_by_nobody(top: Path, lowers: tuple[Path, ...]) -> Iterator[Overlay]:
    """As `mounted`, by somebody who is root in a user namespace alone: the marks are `user.overlay.`.

    The mount is in a mount namespace of its own as well; `merged` leads there.
    """
    upper, work, merged = top / "upper", top / "work", top / "merged"
    for directory in (upper, work, merged):
        directory.mkdir(parents=True)
    below = ":".join(map(str, lowers))
    chosen = f"userxattr,lowerdir={below},upperdir={upper},workdir={work}"
    inside = ["unshare", "--user", "--mount", "sh", "-c", "echo there; read end"]
    with subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"there\n"
        for ids in ("uid_map", "gid_map"):
            Path(f"/proc/{holder.pid}/{ids}").write_text("0 0 4294967295")
        enter = ("nsenter", "--target", str(holder.pid), "--user", "--mount")
        try:
            run(*enter, "mount", "-t", "overlay", "overlay", "-o", chosen, merged)
            yield Overlay(upper, lowers, Path(f"/proc/{holder.pid}/root{merged}"))
        finally:
            holder.stdin.close()


def run(*command: str | Path) -> str:
    """A program's output; the test fails where it does."""
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def under(overlay: Overlay) -> Real:
    """Where the files of an overlay with one lower layer really are.

    Mounted in a user namespace it gives a file that was copied up, and linked then, two inodes: it
    has written down nowhere where that came from.
    """
    top = os.fsencode(overlay.merged)

    def real(path: bytes) -> bytes:
        above, below = (
            os.fsencode(root) + path.removeprefix(top) for root in (overlay.upper, *overlay.lowers)
        )
        return above if os.path.lexists(above) else below

    return real


def umoci_unpack(store: LayoutStore, image: Descriptor, area: Path) -> Path:
    """The image unpacked by umoci, with owners and all; umoci knows no zstd, so gzip in between."""
    plain = LayoutStore(area / "plain")
    export(store, image.digest, plain, name="x", compression=Compression.GZIP)
    bundle = area / "bundle"
    run("umoci", "unpack", "--image", f"{plain.path}:x", bundle)
    return bundle / "rootfs"


CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)  # net_bind_service, effective


def acl(user: int) -> bytes:
    """An access list that names a user."""
    undefined = 0xFFFFFFFF
    entries = ((1, 6, undefined), (2, 4, user), (4, 4, undefined), (16, 6, undefined))
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", *entry) for entry in (*entries, (32, 0, undefined))
    )


def _sparse(path: bytes, _: bytes, value: int) -> None:
    with Path(os.fsdecode(path)).open("wb") as file:
        file.truncate(4 * value)
        file.seek(2 * value)
        file.write(b"data")


def _again(path: bytes, _: bytes, value: int) -> None:
    """A directory is removed and made anew: an opaque one."""
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        return  # rmtree would open a pipe, and wait
    shutil.rmtree(path)
    os.mkdir(path)
    (Path(os.fsdecode(path)) / "after").write_bytes(b"%d" % value)


def _only_files(path: bytes) -> bool:
    return stat.S_ISREG(os.lstat(path).st_mode)


def _if_file(path: bytes, name: str, value: bytes) -> None:
    if _only_files(path):
        os.setxattr(path, name, value)


_MORE = {
    # A name only: a whole path would lead into a lower directory, which nobody may write to.
    "symlink": lambda path, other, _: os.symlink(other, path),
    "sparse": _sparse,
    "again": _again,
    "chown": lambda path, _, value: os.chown(
        path, value % 70000, value % 3000, follow_symlinks=False
    ),
    "setuid": lambda path, _, __: os.chmod(path, 0o6700) if _only_files(path) else None,
    "capability": lambda path, _, __: _if_file(path, "security.capability", CAPABILITY),
    "acl": lambda path, _, value: _if_file(path, "system.posix_acl_access", acl(value % 70000)),
    "fifo": lambda path, _, __: os.mkfifo(path),
    "fifo over": lambda path, _, __: (os.unlink(path), os.mkfifo(path)),
    "device": lambda path, _, __: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3)),
}

_names = st.sampled_from((0, 1, 0, 1, 0, 1, 0, 1, *range(len(NAMES))))  # often the same ones
_verbs = (*trees.VERBS, *trees.VERBS, *_MORE, *["again", "remove", "swap", "write"] * 4)
steps = st.builds(
    Step,
    st.sampled_from(_verbs),
    st.tuples(st.integers(0, 6), _names),
    st.tuples(st.integers(0, 6), _names),
    st.integers(0, 1 << 20),
)
work = st.lists(steps, min_size=2, max_size=14)


def plant(root: Path) -> None:
    """Something in the places where steps happen most."""
    for number, path in enumerate(("a/a/b", "a/b", "b/a/a", "b/b", "a.b")):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"planted" * number)
    os.link(root / "a" / "b", root / "a" / "a" / "a")
    _sparse(os.fsencode(root / "lib"), b"", 1 << 20)


def do(root: Path, step: Step) -> None:
    """Does one step; what cannot be done there is passed over."""
    top = os.fsencode(root)
    places = sorted(trees.directories(top))
    path = places[step.place[0] % len(places)] + b"/" + NAMES[step.place[1]]
    with suppress(OSError):
        if step.verb in ("write", "append", "sparse") and stat.S_ISFIFO(os.stat(path).st_mode):
            return  # to open it would wait for a reader
    if step.verb not in _MORE:
        trees.do(root, step)
        return
    with suppress(OSError, shutil.Error):
        _MORE[step.verb](path, NAMES[step.other[1]], step.value)


def worked_on(lower: Path, before: list[Step]) -> Path:
    """A lower directory, made here, with something in it and random work done."""
    lower.mkdir()
    plant(lower)
    for step in before:
        do(lower, step)
    return lower


_IN_A_LAYER = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)
_KEPT = ("user.", "security.capability", "system.posix_acl_")
Real = Callable[[bytes], bytes]


def everything(root: Path, real: Real = lambda path: path) -> dict[bytes, tuple[object, ...]]:
    """All that must survive: kind, mode, owner, time, content, attributes, hard link group.

    `real` is whose inode says what is one file: that of the mount itself does not always.
    """
    top = os.fsencode(root)
    found: dict[bytes, tuple[object, ...]] = {}
    groups: dict[int, list[bytes]] = {}
    for here, directories, files in os.walk(top):
        for name in directories + files:
            path = here + b"/" + name
            status = os.lstat(path)
            kind = stat.S_IFMT(status.st_mode)
            if kind not in _IN_A_LAYER:
                continue
            short = path[len(top) + 1 :]
            inside: object = os.readlink(path) if kind == stat.S_IFLNK else None
            attributes = ()
            if kind != stat.S_IFLNK:
                attributes = tuple(
                    (key, os.getxattr(path, key))
                    for key in sorted(os.listxattr(path))
                    if key.startswith(_KEPT)
                )
            if kind == stat.S_IFREG:
                inside = Path(os.fsdecode(path)).read_bytes()
                if status.st_nlink > 1:
                    groups.setdefault(os.lstat(real(path)).st_ino, []).append(short)
            mode = None if kind == stat.S_IFLNK else stat.S_IMODE(status.st_mode)
            found[short] = (
                (kind, mode, status.st_uid, status.st_gid, status.st_mtime_ns),
                inside,
                attributes,
            )
    for paths in groups.values():
        if len(paths) > 1:
            for path in paths:
                found[path] += (tuple(sorted(paths)),)
    return found


def differences(
    expected: Path, actual: Path, real: Real = lambda path: path
) -> dict[bytes, object]:
    """What is not the same in two trees; empty where nothing differs. `real` is of the first."""
    one, two = everything(expected, real), everything(actual)
    return {
        path: (one.get(path), two.get(path))
        for path in sorted(one.keys() | two.keys())
        if one.get(path) != two.get(path)
    }


def holes_filled(expected: Path, actual: Path) -> list[Path]:
    """Files of `expected` with holes that are filled in `actual`: with more than a MiB for each block, and one."""
    found = []
    for path in expected.rglob("*"):
        before = path.lstat()
        if stat.S_ISREG(before.st_mode) and before.st_blocks * 512 < before.st_size:
            after = (actual / path.relative_to(expected)).lstat()
            if after.st_blocks * 512 > (before.st_blocks // 8 + 1) << 20:
                found.append(path)
    return found


def specials(root: Path) -> list[Path]:
    """Pipes and devices."""
    found = (path for path in root.rglob("*") if not path.is_symlink())
    return [path for path in found if not path.is_file() and not path.is_dir()]


def files(root: Path) -> list[os.stat_result]:
    """What the system says of each regular file."""
    found = (path.lstat() for path in root.rglob("*"))
    return [status for status in found if stat.S_ISREG(status.st_mode)]
