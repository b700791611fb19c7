"""A directory as the source of layers: what is saved, what is left out, what counts as changed."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from atoll.oci import native
from atoll.oci.changes import changes
from atoll.oci.directory import DirectorySource
from atoll.oci.errors import SourceError
from atoll.oci.image import Descriptor
from atoll.oci.index import Index
from atoll.oci.layer import LayerResult, write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.publish import append_layer, create_base
from atoll.oci.reader import open_layer
from atoll.oci.source import Entry, Kind, Limits
from atoll.oci.unpack import unpack
from atoll.oci.walk import TIMESTAMP_STEP
from hypothesis import HealthCheck, given, settings

from tests.exploring import examples
from tests.unit.oci.trees import NOW, Step, differences, do, rounds


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


def entries(source: DirectorySource) -> dict[bytes, Entry]:
    found = {}
    for entry in source.entries():
        assert sum(map(len, source.content(entry))) == entry.size if entry.size else True
        found[entry.path] = entry
    return found


def kinds(source: DirectorySource) -> dict[bytes, Kind]:
    return {path: entry.kind for path, entry in entries(source).items()}


def index_of(root: Path) -> Index:
    source = DirectorySource(root)
    entries(source)
    return source.index()


def save(
    root: Path, store: LayoutStore, parent: Descriptor, since: Index | None, name: str
) -> tuple[Descriptor, Index, LayerResult]:
    source = DirectorySource(root, since=since)
    layer = write_layer(source, store)
    image = append_layer(store, parent.digest, layer, name=name, created=NOW)
    return image, source.index(image=image.digest), layer


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds)
def test_random_work_saved_step_by_step_is_restored_exactly(work: list[list[Step]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        root, restored = top / "root", top / "restored"
        root.mkdir()
        store = LayoutStore(top / "store")
        image = create_base(store, "base", labels={}, created=NOW)
        index = None
        for number, steps in enumerate(work):
            for step in steps:
                do(root, step)
            image, index, layer = save(root, store, image, index, f"ck-{number}")
            assert (layer.left_out, layer.torn) == ((), ())
            result = unpack(store, image.digest, restored)
            assert differences(root, restored) == {}
            assert changes(restored, since=result.index) == changes(root, since=index)
            assert not changes(root, since=index).added


@settings(max_examples=examples(20), deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds)
def test_work_that_goes_on_in_a_restored_directory_is_saved_on_top_and_restored(
    work: list[list[Step]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        here = top / "0"
        here.mkdir()
        store = LayoutStore(top / "store")
        image = create_base(store, "base", labels={}, created=NOW)
        index = None
        for number, steps in enumerate(work, start=1):
            for step in steps:
                do(here, step)
            image, _, _ = save(here, store, image, index, f"ck-{number}")
            index = unpack(store, image.digest, top / str(number)).index
            assert differences(here, top / str(number)) == {}
            here = top / str(number)


def test_nothing_changed_gives_no_entries(root: Path) -> None:
    (root / "dir").mkdir()
    (root / "dir" / "file").write_text("x")
    assert entries(DirectorySource(root, since=index_of(root))) == {}


def test_a_change_that_keeps_size_and_time_is_seen(root: Path) -> None:
    (root / "file").write_text("one")
    before = (root / "file").stat()
    index = index_of(root)
    (root / "file").write_text("two")
    os.utime(root / "file", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert kinds(DirectorySource(root, since=index)) == {b"file": Kind.FILE}


def test_a_file_written_at_the_moment_of_the_save_is_saved_again_if_it_changes_at_once(
    root: Path,
) -> None:
    for number in range(30):
        (root / "file").write_text(f"{number:09}")
        index = index_of(root)
        (root / "file").write_text(f"{number + 1:09}")
        assert b"file" in kinds(DirectorySource(root, since=index))


def test_deletions_become_whiteouts_of_the_topmost_path_only(root: Path) -> None:
    (root / "keep").mkdir()
    (root / "gone" / "deep").mkdir(parents=True)
    (root / "gone" / "deep" / "file").write_text("x")
    index = index_of(root)
    for path in ("gone/deep/file",):
        (root / path).unlink()
    (root / "gone" / "deep").rmdir()
    (root / "gone").rmdir()
    assert kinds(DirectorySource(root, since=index)) == {b"gone": Kind.WHITEOUT}


def test_hard_links_are_one_file_and_its_other_names(root: Path) -> None:
    (root / "b").write_text("x")
    (root / "dir").mkdir()
    (root / "a").hardlink_to(root / "b")
    (root / "dir" / "c").hardlink_to(root / "b")
    found = entries(DirectorySource(root))
    assert found[b"a"].kind is Kind.FILE
    assert (found[b"b"].kind, found[b"b"].link) == (Kind.HARDLINK, b"a")
    assert (found[b"dir/c"].kind, found[b"dir/c"].link) == (Kind.HARDLINK, b"a")


def test_sockets_pipes_and_devices_are_left_out_and_named(root: Path) -> None:
    os.mkfifo(root / "pipe")
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(root)  # the address of a socket has at most 107 bytes
        server.bind("socket")
        os.chdir(here)
    if os.geteuid() == 0:
        os.mknod(root / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    source = DirectorySource(root)
    assert entries(source) == {}
    reasons = {item.path: item.reason for item in source.left_out()}
    assert reasons[b"pipe"] == "a pipe is not saved"
    assert reasons[b"socket"] == "a socket is not saved"
    assert os.geteuid() != 0 or reasons[b"null"] == "a device is not saved"


def test_a_name_that_would_be_a_whiteout_is_left_out_and_named(root: Path) -> None:
    (root / ".wh.important").write_text("x")
    (root / ".wh..wh..opq").mkdir()
    source = DirectorySource(root)
    assert entries(source) == {}
    assert {item.path for item in source.left_out()} == {b".wh.important", b".wh..wh..opq"}


def test_a_path_that_is_excluded_is_neither_saved_nor_deleted(root: Path) -> None:
    (root / "cache").mkdir()
    (root / "cache" / "x").write_text("x")
    everything = index_of(root)

    def exclude(path: bytes) -> str | None:
        return "a cache" if path == b"cache" else None

    source = DirectorySource(root, since=everything, exclude=exclude)
    assert entries(source) == {}
    assert [tuple(item) for item in source.left_out()] == [(b"cache", "a cache")]
    (root / "cache" / "x").unlink()
    (root / "cache").rmdir()
    assert entries(DirectorySource(root, since=everything, exclude=exclude)) == {}


def test_a_small_file_can_be_rewritten_on_its_way_and_a_large_one_is_not_offered(
    root: Path,
) -> None:
    (root / "script").write_text("#!/old/path/python\n")
    (root / "large").write_bytes(bytes((1 << 20) + 1))
    offered = []

    def rewrite(entry: Entry, content: bytes) -> bytes | None:
        offered.append(entry.path)
        return content.replace(b"/old/path", b"/a/much/longer/path")

    source = DirectorySource(root, rewrite=rewrite)
    found = {
        entry.path: b"".join(source.content(entry))[:40]
        for entry in source.entries()
        if entry.kind is Kind.FILE
    }
    assert offered == [b"script"]
    assert found[b"script"] == b"#!/a/much/longer/path/python\n"


def test_owners_can_be_made_the_same(root: Path) -> None:
    (root / "file").write_text("x")
    found = entries(DirectorySource(root, owner=(1000, 100)))[b"file"]
    assert (found.uid, found.gid) == (1000, 100)


def test_a_file_that_shrinks_while_it_is_read_is_filled_up_reported_and_saved_again(
    root: Path,
) -> None:
    (root / "file").write_bytes(b"x" * 3_000_000)
    source = DirectorySource(root)
    for entry in source.entries():
        pieces = source.content(entry)
        first = next(pieces)
        os.truncate(root / "file", 1_500_000)
        rest = b"".join(pieces)
        assert len(first) + len(rest) == entry.size == 3_000_000
        assert rest.endswith(bytes(1_500_000))
    assert source.torn() == (b"file",)
    assert b"file" in kinds(DirectorySource(root, since=source.index()))


def test_a_file_that_grows_while_it_is_read_is_cut_and_reported(root: Path) -> None:
    (root / "file").write_bytes(b"x" * 10)
    source = DirectorySource(root)
    for entry in source.entries():
        with (root / "file").open("ab") as file:
            file.write(b"y" * 10)
        assert b"".join(source.content(entry)) == b"x" * 10
    assert source.torn() == (b"file",)


@pytest.mark.parametrize("library", [native.library, lambda: None], ids=["packed", "by Python"])
def test_what_files_become_between_their_listing_and_their_reading_is_saved_or_reported(
    library: Callable[[], object], root: Path, store: LayoutStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first entry, a directory, is given when all are listed; then nothing stays as it was."""
    secret = root.with_name("secret")
    secret.write_text("secret")
    assert native.library() is not None, "extensions/native/build makes it, with cargo"
    monkeypatch.setattr(native, "library", library)
    (root / "a").mkdir()
    for name in ("device", "directory", "gone", "grown", "pipe", "shrunk", "symlink", "z"):
        (root / name).write_text("before")

    def meanwhile(_: int) -> None:
        if not (root / "gone").exists():
            return
        for name in ("device", "directory", "gone", "pipe", "symlink"):
            (root / name).unlink()
        (root / "directory").mkdir()
        (root / "grown").write_text("before and after")
        os.mkfifo(root / "pipe")
        (root / "shrunk").write_text("aft")
        (root / "symlink").symlink_to(secret)
        if os.geteuid() == 0:
            os.mknod(root / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 5))

    source = DirectorySource(root)
    layer = write_layer(source, store, progress=meanwhile)
    with open_layer(store, layer.descriptor, layer.diff_id) as reader:
        found = {entry.path: reader.read() for entry in reader}
    assert found == {b"a": b"", b"grown": b"before and after", b"shrunk": b"aft", b"z": b"before"}
    lost = [b"device", b"directory", b"gone", b"pipe", b"symlink"]
    assert [item.path for item in layer.left_out] == lost
    again = kinds(DirectorySource(root, since=source.index()))
    assert {b"directory", b"grown", b"shrunk", b"symlink"} <= again.keys()


def test_a_directory_swapped_for_a_symlink_is_never_entered(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (root / "dir").mkdir()
    (root / "dir" / "inside").write_text("x")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (root / "dir").rename(root.parent / "aside")
            (root / "dir").symlink_to(outside)
            (root / "dir").unlink()
            (root.parent / "aside").rename(root / "dir")

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(40):
            assert b"dir/secret" not in kinds(DirectorySource(root))
    finally:
        stop.set()
        swapper.join()


def test_attributes_of_the_kernel_and_the_administrator_are_not_saved(root: Path) -> None:
    (root / "file").write_text("x")
    os.setxattr(root / "file", "user.mine", b"\x00\xff=\n")
    if os.geteuid() == 0:
        os.setxattr(root / "file", "trusted.overlay.opaque", b"y")
    assert entries(DirectorySource(root))[b"file"].xattrs == {b"user.mine": b"\x00\xff=\n"}


def test_a_tree_deeper_than_allowed_is_reported_and_the_rest_is_saved(root: Path) -> None:
    (root / "1" / "2" / "3" / "4").mkdir(parents=True)
    (root / "file").write_text("x")
    source = DirectorySource(root, limits=Limits(depth=3))
    assert sorted(kinds(source)) == [b"1", b"1/2", b"1/2/3", b"file"]
    assert [item.path for item in source.left_out()] == [b"1/2/3"]


def test_a_directory_that_is_not_there_or_is_a_symlink_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("missing", "link"):
        with pytest.raises(SourceError):
            entries(DirectorySource(tmp_path / name))


def test_changes_count_what_was_added_changed_and_removed_without_writing(root: Path) -> None:
    (root / "old").mkdir()
    (root / "old" / "x").write_bytes(b"123")
    (root / "same").write_text("same")
    (root / "other").write_text("1")
    index = index_of(root)
    (root / "old" / "x").unlink()
    (root / "old").rmdir()
    (root / "other").write_text("22222")
    (root / "new").write_text("new")
    found = changes(root, since=index)
    assert [change.path for change in found.added] == [b"new"]
    assert [change.path for change in found.changed] == [b"other"]
    assert [change.path for change in found.removed] == [b"old", b"old/x"]
    assert (found.files, found.size) == (3, 8)


def test_two_passes_keep_the_records_of_what_is_as_it_was_once(root: Path) -> None:
    """A live save of a million files has two indexes at a time."""
    for name in ("same", "other"):
        (root / name).mkdir()
        (root / name / "file").write_text("content")
    before = index_long_ago(root)
    (root / "other" / "new").write_text("new")
    source = DirectorySource(root, since=before)
    list(source.entries())
    now = source.index().directories
    assert now[b"same"] is before.directories[b"same"]
    assert list(now[b"other"]) != list(before.directories[b"other"])


def index_long_ago(root: Path) -> Index:
    """Of a directory that nothing happens to any more: what may change unseen counts as unknown."""
    time.sleep(2 * TIMESTAMP_STEP)
    source = DirectorySource(root)
    list(source.entries())
    return source.index()
