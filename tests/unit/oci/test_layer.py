"""Layers: one pass, the same bytes for the same content, and tar that others read."""

from __future__ import annotations

import gc
import io
import os
import tarfile
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from atoll.oci import layer, tar
from atoll.oci.directory import DirectorySource
from atoll.oci.errors import (
    CancelledError,
    InvalidImageError,
    LimitError,
    StoreFullError,
    TooSlowError,
)
from atoll.oci.image import Compression, digest_of
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.source import Entry, Kind, LeftOut, Limits
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.oci.trees import debris


class Given:
    """A source of entries as they are given, with the same content for each."""

    def __init__(self, *items: Entry, content: bytes = b"") -> None:
        self._items = items
        self._content = content

    def entries(self) -> Iterator[Entry]:
        return iter(self._items)

    def content(self, entry: Entry) -> Iterator[bytes]:
        yield self._content[: entry.size]

    def left_out(self) -> tuple[LeftOut, ...]:
        return ()

    def torn(self) -> tuple[bytes, ...]:
        return ()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for number in range(30):
        (root / f"dir{number % 3}").mkdir(parents=True, exist_ok=True)
        file = root / f"dir{number % 3}" / f"file{number}"
        file.write_bytes(os.urandom(50_000) + bytes(200_000))
    return root


def blob(store: LayoutStore, digest: str) -> bytes:
    with store.open(digest) as file:
        return file.read()


def untarred(packed: bytes) -> tarfile.TarFile:
    plain = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True).read()
    return tarfile.open(fileobj=io.BytesIO(plain))


def test_both_digests_are_those_of_the_bytes(root: Path, store: LayoutStore) -> None:
    layer = write_layer(DirectorySource(root), store)
    packed = blob(store, layer.descriptor.digest)
    assert digest_of(packed) == layer.descriptor.digest
    assert len(packed) == layer.descriptor.size
    plain = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True).read()
    assert digest_of(plain) == layer.diff_id
    assert (layer.entries, layer.size) == (33, 30 * 250_000)


def test_the_same_directory_gives_the_same_digest_every_time(
    root: Path, store: LayoutStore
) -> None:
    digests = {write_layer(DirectorySource(root), store).descriptor.digest for _ in range(5)}
    assert len(digests) == 1


def test_the_order_in_which_files_were_made_does_not_matter(
    tmp_path: Path, store: LayoutStore
) -> None:
    digests: set[str] = set()
    for order in (range(40), reversed(range(40))):
        root = tmp_path / f"root{len(digests)}"
        root.mkdir()
        for number in order:
            (root / f"{number}").write_text(f"{number}")
            os.utime(root / f"{number}", (1, 1))
        digests.add(write_layer(DirectorySource(root), store).descriptor.digest)
    assert len(digests) == 1


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.NONE])
def test_other_compressions_hold_the_same_tar(
    root: Path, store: LayoutStore, compression: Compression
) -> None:
    one = write_layer(DirectorySource(root), store)
    other = write_layer(DirectorySource(root), store, compression=compression)
    assert other.diff_id == one.diff_id
    assert other.descriptor.media_type == compression.value
    with tarfile.open(fileobj=io.BytesIO(blob(store, other.descriptor.digest))) as archive:
        assert len(archive.getnames()) == 33


names = st.binary(min_size=1, max_size=300).filter(
    lambda name: not {0, 0x2F} & set(name) and name not in (b".", b"..") and name[:4] != b".wh."
)
entries = st.builds(
    Entry,
    path=st.lists(names, min_size=1, max_size=3).map(b"/".join),
    kind=st.sampled_from([Kind.FILE, Kind.DIRECTORY]),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, (1 << 32) - 2),
    gid=st.integers(0, (1 << 32) - 2),
    size=st.just(0),
    link=st.just(b""),
    mtime_ns=st.integers(-(1 << 62), 1 << 62),
    xattrs=st.dictionaries(
        st.binary(min_size=1, max_size=20).map(lambda name: b"user." + name.hex().encode()),
        st.binary(max_size=50),
        max_size=2,
    ),
)


@given(entries)
def test_a_header_says_to_pythons_tarfile_what_was_meant(entry: Entry) -> None:
    stream = io.BytesIO(tar.header(entry) + tar.END)
    with tarfile.open(fileobj=stream, encoding="utf-8", errors="surrogateescape") as archive:
        (found,) = archive.getmembers()
    assert os.fsencode(found.name) == entry.path
    assert (found.mode, found.uid, found.gid) == (entry.mode, entry.uid, entry.gid)
    assert found.mtime == pytest.approx(entry.mtime_ns / 1e9)
    assert found.isdir() == (entry.kind is Kind.DIRECTORY)


@given(entries)
def test_a_header_is_read_back_exactly(entry: Entry) -> None:
    blocks = tar.header(entry)
    pax: dict[bytes, bytes] = {}
    if blocks[156:157] == b"x":
        extended = tar.parse_block(blocks[:512])
        assert extended is not None
        pax = tar.parse_pax(blocks[512 : 512 + extended.size])
    block = tar.parse_block(blocks[-512:])
    assert block is not None
    assert tar.entry_of(block, pax, 256) == entry


@pytest.mark.parametrize("size", [(8 << 30) - 1, 8 << 30, 1 << 50])
def test_files_of_eight_gibibytes_and_more_have_their_size_in_the_header(size: int) -> None:
    header = tar.header(Entry(b"big", Kind.FILE, size=size))
    info = tarfile.TarFile.open(fileobj=io.BytesIO(header), mode="r|").next()
    assert info is not None
    assert info.size == size


@given(st.binary(min_size=512, max_size=512))
def test_random_blocks_are_refused_or_read_but_never_anything_else(block: bytes) -> None:
    fixed = bytearray(block)
    fixed[148:156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
    for candidate in (block, bytes(fixed)):
        try:
            header = tar.parse_block(candidate)
            if header is not None:
                tar.entry_of(header, {}, 256)
        except (InvalidImageError, LimitError):
            continue


def test_a_hard_link_with_a_size_has_no_content(tmp_path: Path) -> None:
    info = tarfile.TarInfo("link")
    info.type, info.linkname, info.size = tarfile.LNKTYPE, "file", 4096
    block = tar.parse_block(info.tobuf(tarfile.USTAR_FORMAT))
    assert block is not None
    assert tar.entry_of(block, {}, 256).size == 0


def test_a_cancelled_save_ends_at_once_and_leaves_nothing(root: Path, store: LayoutStore) -> None:
    before = list((store.path / "blobs" / "sha256").iterdir())
    asked = []

    def cancelled() -> bool:
        asked.append(1)
        return len(asked) > 10

    with pytest.raises(CancelledError):
        write_layer(DirectorySource(root), store, cancelled=cancelled)
    assert list((store.path / "blobs" / "sha256").iterdir()) == before
    assert [p.name for p in store.path.rglob("write-*")] == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("layer-")]


def test_too_many_entries_and_too_many_bytes_are_refused_with_the_number(
    root: Path, store: LayoutStore
) -> None:
    with pytest.raises(LimitError, match="20"):
        write_layer(DirectorySource(root), store, limits=Limits(entries=20))
    with pytest.raises(LimitError, match="1,000,000"):
        write_layer(DirectorySource(root), store, limits=Limits(size=1_000_000))


def test_extended_attributes_count_though_they_are_no_content(store: LayoutStore) -> None:
    def file(number: int) -> Entry:
        xattrs = {b"user.a": bytes(60_000)}
        return Entry(b"%03d" % number, Kind.FILE, 0o644, 0, 0, 0, 0, b"", xattrs)

    files = [file(number) for number in range(5)]
    write_layer(Given(*files[:3]), store, limits=Limits(attributes=200_000))
    with pytest.raises(LimitError, match=r"200,000 bytes; /003 was read last"):
        write_layer(Given(*files), store, limits=Limits(attributes=200_000))


def test_what_takes_too_long_is_broken_off_and_leaves_nothing(
    root: Path, store: LayoutStore
) -> None:
    before = list((store.path / "blobs" / "sha256").iterdir())
    with pytest.raises(TooSlowError, match="longer than 0 seconds"):
        write_layer(DirectorySource(root), store, limits=Limits(seconds=0.0))
    assert list((store.path / "blobs" / "sha256").iterdir()) == before
    assert [p.name for p in store.path.rglob("write-*")] == []


def test_a_sparse_bomb_is_refused_before_it_is_read(tmp_path: Path, store: LayoutStore) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with (root / "sparse").open("wb") as file:
        file.truncate(1 << 41)
    with pytest.raises(LimitError, match="sparse"):
        write_layer(DirectorySource(root), store)


def test_progress_counts_logical_bytes_and_ends_at_their_sum(
    root: Path, store: LayoutStore
) -> None:
    told: list[int] = []
    layer = write_layer(DirectorySource(root), store, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == layer.size


def test_an_error_of_the_source_ends_the_threads_and_leaves_nothing(
    store: LayoutStore,
) -> None:
    class Broken(Given):
        def content(self, entry: Entry) -> Iterator[bytes]:
            yield bytes(5_000_000)
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        write_layer(Broken(Entry(b"file", Kind.FILE, size=10_000_000)), store)
    assert debris(store.path / "blobs" / "sha256") == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("layer-")]


def test_whiteouts_and_opaque_marks_are_empty_files_named_so(store: LayoutStore) -> None:
    source = Given(
        Entry(b"dir", Kind.DIRECTORY, mode=0o755),
        Entry(b"dir/gone", Kind.WHITEOUT),
        Entry(b"gone", Kind.WHITEOUT),
        Entry(b"dir", Kind.OPAQUE),
    )
    layer = write_layer(source, store)
    with untarred(blob(store, layer.descriptor.digest)) as archive:
        assert archive.getnames() == ["dir", "dir/.wh.gone", ".wh.gone", "dir/.wh..wh..opq"]


class Blocks:
    """All blocks that are made; whether they are still there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._made: list[weakref.ref[object]] = []
        make = layer._Block

        def made() -> object:
            block = make()
            self._made.append(weakref.ref(block))
            return block

        monkeypatch.setattr(layer, "_Block", made)

    @property
    def count(self) -> int:
        return len(self._made)

    @property
    def left(self) -> int:
        return sum(block() is not None for block in self._made)


class Full:
    """A store whose disk is full from the start."""

    def writer(self) -> Full:
        return self

    def write(self, data: bytes) -> None:
        raise StoreFullError("There is no room left.")

    def abort(self) -> None:
        pass


def test_a_small_layer_takes_one_block(store: LayoutStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written while its container stands still: memory takes time."""
    blocks = Blocks(monkeypatch)
    write_layer(Given(Entry(b"a", Kind.FILE, size=1000), content=bytes(1000)), store)
    assert blocks.count <= 2


def test_blocks_are_used_again_and_given_back_whatever_goes_wrong(
    store: LayoutStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = Blocks(monkeypatch)
    files = [Entry(b"%d" % number, Kind.FILE, size=1 << 20) for number in range(100)]
    gc.disable()
    try:
        write_layer(Given(*files, content=os.urandom(1 << 20)), store)
        assert blocks.count <= layer._BLOCKS
        for _ in range(3):
            with pytest.raises(StoreFullError):
                write_layer(Given(*files, content=os.urandom(1 << 20)), Full())  # type: ignore[arg-type]
        assert blocks.left == 0
    finally:
        gc.enable()


def test_others_have_their_turn_after_every_bit_of_work_in_each_thread(store: LayoutStore) -> None:
    turns: Counter[str] = Counter()

    def give_way() -> None:
        turns[threading.current_thread().name.rstrip("_0123456789")] += 1

    size = 40 << 20
    source = Given(Entry(b"a", Kind.FILE, size=size), content=os.urandom(size))
    made = write_layer(source, store, give_way=give_way)

    assert turns["layer-pack"] >= size / layer._FRAME
    assert turns["layer-hash"] >= size / layer._HASHED
    assert turns["layer-write"] >= size / layer._HASHED
    assert write_layer(source, store).descriptor == made.descriptor, "it is the same layer"


def test_what_is_packed_by_itself_gives_way_too(root: Path, store: LayoutStore) -> None:
    threads: set[str] = set()
    write_layer(
        DirectorySource(root),
        store,
        give_way=lambda: threads.add(threading.current_thread().name),
    )
    assert threading.current_thread().name in threads


def test_a_room_is_never_smaller_than_asked_for(store: LayoutStore) -> None:
    pipeline = layer.Pipeline(store.writer(), Compression.ZSTD)
    try:
        pipeline.write(bytes(1000))
        assert len(pipeline.room(layer._SPARE)) >= layer._SPARE
        with pytest.raises(ValueError, match="at once"):
            pipeline.room(layer._SPARE + 1)
    finally:
        pipeline.close()
