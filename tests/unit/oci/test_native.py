"""The native packer: the same bytes as Python's own, and nothing that is not a plain file."""

from __future__ import annotations

import _ctypes
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from atoll.oci import native, tar
from atoll.oci.attributes import Attributes, IdMaps
from atoll.oci.directory import WalkedSource
from atoll.oci.errors import CancelledError, LimitError
from atoll.oci.layer import LayerResult, write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.source import DEFAULT_LIMITS, Entry, Kind, Limits
from atoll.oci.walk import OPEN_DIRECTORY, Walk
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.oci.trees import do, rounds

LIBRARY = native._LIBRARY
IDS = IdMaps(uids=[(0, 0, 1), (1, 100_000, 65_535)], gids=[(0, 0, 70_000)])


def library() -> ctypes.CDLL:
    found = native.library()
    assert found is not None, "extensions/native/build makes it, with cargo"
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


def room(size: int) -> memoryview:
    """A room that something else was in before."""
    return memoryview(bytearray(b"\xaa" * size))


def packed(root: Path, *names: bytes, parent: bytes = b"") -> native.Run:
    """What becomes of files in `root`."""
    descriptor = os.open(root, OPEN_DIRECTORY)
    try:
        return native.Packer(library(), room).pack(descriptor, parent, names)
    finally:
        os.close(descriptor)


def written(root: Path, ids: IdMaps | None, limits: Limits = DEFAULT_LIMITS) -> list[LayerResult]:
    """The layer as it is packed, and as Python alone writes it."""
    results = []
    for found in (library(), None):
        walk = Walk(root)
        source = WalkedSource(walk, Attributes(walk.left_out, ids=ids))
        with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
            patch.setattr(native, "library", lambda found=found: found)
            results.append(write_layer(source, LayoutStore(Path(place) / "store"), limits=limits))
    return results


@pytest.mark.parametrize("ids", [None, IDS], ids=["as on the host", "in a user namespace"])
@given(rounds)
def test_a_tree_gives_the_same_bytes_with_and_without_it(ids: IdMaps | None, made: object) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        for steps in made:  # type: ignore[attr-defined]  # hypothesis gives lists of lists
            for step in steps:
                do(root, step)
        one, other = written(root, ids)
    assert one == other


names = st.binary(min_size=1, max_size=255).filter(
    lambda name: not {0, 0x2F} & set(name) and name not in (b".", b"..")
)


@given(
    name=names,
    parent=st.lists(names, max_size=3).map(lambda parts: b"".join(part + b"/" for part in parts)),
    content=st.binary(max_size=1200),
    mode=st.integers(0, 0o777),
    owner=st.tuples(st.integers(0, 2**32 - 2), st.integers(0, 2**32 - 2)),
    mtime=st.integers(-(2**31), 2**34).map((10**9).__mul__) | st.integers(-(2**61), 2**63),
)
def test_a_header_is_the_one_that_python_writes(  # noqa: PLR0917 - all that a header has
    name: bytes, parent: bytes, content: bytes, mode: int, owner: tuple[int, int], mtime: int
) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        path = root / os.fsdecode(name)
        path.write_bytes(content)
        path.chmod(mode)
        if os.geteuid() == 0:
            os.chown(path, *owner)
        os.utime(path, ns=(0, mtime))
        status = path.stat()
        data, [file] = packed(root, name, parent=parent).packed
    entry = Entry(
        parent + name,
        Kind.FILE,
        mode,
        status.st_uid,
        status.st_gid,
        len(content),
        status.st_mtime_ns,
    )
    assert bytes(data) == tar.header(entry) + content + tar.padding(len(content))
    assert (file.path, file.size) == (parent + name, len(content))
    assert bytes(data[file.start : file.start + file.size]) == content


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 100_000)


def _linked(path: Path) -> None:
    path.write_bytes(b"x")
    path.with_name("other").hardlink_to(path)


def _attribute(path: Path) -> None:
    path.write_bytes(b"x")
    os.setxattr(path, "user.note", b"1")


def _special(path: Path) -> None:
    path.write_bytes(b"x")
    path.chmod(0o4755)


@pytest.mark.parametrize(
    "make",
    [
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to("/etc/passwd"),
        lambda path: path.symlink_to("before"),
        lambda path: os.mknod(path, 0o20666, os.makedev(1, 5)),
        lambda path: path.write_bytes(bytes(native.LARGEST + 1)),
        lambda path: None,
        _sparse,
        _linked,
        _attribute,
        _special,
    ],
    ids=[
        "directory", "pipe", "symlink outside", "symlink inside", "device", "large", "gone",
        "with holes", "two names", "attribute", "setuid",
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_python(root: Path, make: Callable[[Path], None]) -> None:
    """Whatever the listing said a moment ago: it may have been replaced since."""
    (root / "before").write_bytes(b"plain")
    (root / "last").write_bytes(b"plain too")
    make(root / "it")
    while not (run := packed(root, b"before", b"it", b"last")).asks:
        assert len(run.packed.files) == 1, "its time was over"
    assert [file.path for file in run.packed.files] == [b"before"]
    assert b"root:" not in bytes(run.packed.data)


def test_owners_are_those_of_the_namespace_or_left_to_python(root: Path) -> None:
    for name, owner in (("a", 0), ("b", 100_005), ("c", 70)):
        (root / name).write_bytes(b"x")
        os.chown(root / name, owner, owner % 70_000)
    descriptor = os.open(root, OPEN_DIRECTORY)
    try:
        run = native.Packer(library(), room, ids=IDS).pack(descriptor, b"", [b"a", b"b", b"c"])
    finally:
        os.close(descriptor)
    assert [file.path for file in run.packed.files] == [b"a", b"b"]
    assert run.asks, "nobody in the namespace owns c: the report says so"
    one, other = written(root, IDS)
    assert one == other
    assert [item.path for item in one.left_out] == [b"c"]


def test_files_go_on_in_the_next_room(root: Path) -> None:
    names = [b"%02d" % number for number in range(40)]
    for name in names:
        (root / os.fsdecode(name)).write_bytes(name * 50_000)
    first = packed(root, *names)
    assert 0 < len(first.packed.files) < len(names)
    assert not first.asks
    one, other = written(root, None)
    assert one == other
    assert one.entries == len(names)


def test_files_that_all_ask_cost_no_more_than_python_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack: one attribute on each of very many files. What is handed over stays in proportion."""
    for number in range(3000):
        (root / f"{number:04}").write_bytes(b"x")
        os.setxattr(root / f"{number:04}", "user.note", b"1")
    handed, pack = [], native.Packer.pack

    def counted(
        self: native.Packer, directory: int, parent: bytes, names: list[bytes]
    ) -> native.Run:
        handed.append(len(names))
        return pack(self, directory, parent, names)

    monkeypatch.setattr(native.Packer, "pack", counted)
    one, other = written(root, None)
    assert one == other
    assert sum(handed) < 3000 + 2 * native.MOST


def test_maps_that_no_kernel_has_are_not_packed_by(root: Path) -> None:
    """They come from a runtime's record, which nobody checked."""
    wide = IdMaps(uids=[(0, 0, 2**32)], gids=[(0, 0, 2**32 + 1)])
    assert native.packer(room, ids=wide) is None
    (root / "a").write_bytes(b"x")
    one, other = written(root, wide)
    assert one == other
    around = IdMaps(uids=[(0, 100_000, 2**32 - 1)], gids=[(0, 0, 2**32 - 1)])
    one, other = written(root, around)
    assert one == other
    assert [item.path for item in one.left_out] == [b"a"], "root is nobody there"


def test_the_deepest_path_fits_into_a_room(root: Path) -> None:
    (root / ("n" * 255)).write_bytes(bytes(native.LARGEST))
    run = packed(root, b"n" * 255, parent=(b"d" * 255 + b"/") * 255)
    assert len(run.packed.files) == 1
    too_long = packed(root, b"n" * 255, parent=(b"d" * 255 + b"/") * 2000)
    assert (len(too_long.packed.files), too_long.asks) == (0, True)


def test_a_file_that_changes_while_it_is_read_is_torn(root: Path) -> None:
    """Somebody writes to it all the time; that is seen sooner or later."""
    file = root / "busy"
    file.write_bytes(bytes(200_000))
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"f = open({str(file)!r}, 'r+b', 0)\nwhile 1: f.seek(0), f.write(b'x')",
        ]
    )
    try:
        assert any(packed(root, b"busy").torn for _ in range(100_000))
    finally:
        writer.kill()
        writer.wait()
    assert not packed(root, b"busy").torn


def test_names_swapped_at_full_speed_never_lead_outside(root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"of the host")
    name, done = root / "it", threading.Event()

    def swap() -> None:
        while not done.is_set():
            for make in (
                lambda p: p.symlink_to(secret),
                lambda p: p.write_bytes(b"mine"),
                os.mkfifo,
            ):
                make(root / "new")
                (root / "new").replace(name)

    name.write_bytes(b"mine")
    swapping = threading.Thread(target=swap)
    swapping.start()
    seen = set()
    try:
        for _ in range(20_000):
            run = packed(root, b"it")
            seen.add(bytes(run.packed.data[512:516]) if run.packed.files else b"")
            assert secret.read_bytes() not in bytes(run.packed.data)
    finally:
        done.set()
        swapping.join()
    assert len(seen) > 1, "both were seen: a plain file, and something else"


def test_limits_and_a_wish_to_stop_hold_for_packed_files(root: Path, tmp_path: Path) -> None:
    for number in range(30):
        (root / f"{number}").write_bytes(bytes(1000))
    for limits, reason in ((Limits(size=20_000), "bytes to save"), (Limits(entries=29), "entries")):
        with pytest.raises(LimitError, match=reason):
            written(root, None, limits)
    walk = Walk(root)
    source = WalkedSource(walk, Attributes(walk.left_out))
    store = LayoutStore(tmp_path / "store")
    with pytest.raises(CancelledError):
        write_layer(source, store, cancelled=lambda: True)
    assert not list(store.path.rglob("*.part"))


@pytest.mark.parametrize(
    "make",
    [
        Path.touch,
        lambda place: place.write_bytes(b"no library"),
        lambda place: shutil.copy(_ctypes.__file__, place),
        lambda place: shutil.copy(LIBRARY, place),
    ],
    ids=["empty", "garbage", "another one", "of another version"],
)
def test_a_library_that_does_not_fit_is_left_aside(
    make: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    place = tmp_path / LIBRARY.name
    make(place)
    monkeypatch.setattr(native, "_VERSION", 0)
    monkeypatch.setattr(native, "_LIBRARY", place)
    native.library.cache_clear()
    try:
        assert native.packer(room) is None
        assert "files are packed by Python" in caplog.text
        place.unlink()
        native.library.cache_clear()
        assert native.packer(room) is None
    finally:
        native.library.cache_clear()
