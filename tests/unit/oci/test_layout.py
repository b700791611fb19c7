"""The image layout on disk: atomic, shared by many processes, whole after a kill or a full disk."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.oci.directory import DirectorySource
from atoll.oci.errors import InvalidImageError, MissingError, StoreFullError
from atoll.oci.image import Descriptor, Digest, digest_of
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.publish import append_layer, create_base
from atoll.oci.store import load_image, put_blob
from atoll.oci.unpack import unpack

from tests.unit.oci.trees import NOW, archive, image_of, member

ROOT = Path(__file__).parents[3]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def files(store: LayoutStore) -> set[str]:
    """Everything in the layout but blobs and the lock."""
    return {
        str(path.relative_to(store.path))
        for path in store.path.rglob("*")
        if path.is_file() and path.parent.name != "sha256" and path.name != "lock"
    }


def blobs(store: LayoutStore) -> set[str]:
    return {path.name for path in (store.path / "blobs" / "sha256").iterdir()}


def verify(store: LayoutStore, scratch: Path) -> list[str]:
    """Unpacks every listed image, so that every blob is read and verified; their names."""
    names = []
    for image in store.images():
        unpack(store, image.digest, scratch / image.digest.removeprefix("sha256:"))
        names.append(image.name)
    for name in blobs(store):
        content = (store.path / "blobs" / "sha256" / name).read_bytes()
        assert digest_of(content) == f"sha256:{name}"
    return names


def test_a_new_layout_has_what_the_specification_asks_for(store: LayoutStore) -> None:
    assert json.loads((store.path / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((store.path / "index.json").read_bytes())
    assert (index["schemaVersion"], index["manifests"]) == (2, [])
    assert store.images() == ()


def test_an_image_is_listed_by_its_name_and_a_name_belongs_to_one_image(
    store: LayoutStore,
) -> None:
    one = create_base(store, "team/lab@one", labels={"n": "1"}, created=NOW)
    two = create_base(store, "team/lab@one", labels={"n": "2"}, created=NOW)
    assert [(found.name, found.digest) for found in store.images()] == [
        ("team/lab@one", two.digest)
    ]
    assert one.digest != two.digest


@pytest.mark.parametrize("name", ["", "a b", "../x", "a\n", "-a", "a:", "é", "a//b"])
def test_a_name_that_tools_could_not_use_is_refused(store: LayoutStore, name: str) -> None:
    with pytest.raises(InvalidImageError):
        create_base(store, name, labels={}, created=NOW)


def test_a_deleted_image_is_gone_and_its_blobs_go_with_the_next_collection(
    store: LayoutStore,
) -> None:
    one = image_of(store, archive([member("one")]), name="one")
    two = image_of(store, archive([member("one")]), archive([member("two")]), name="two")
    store.delete(two.digest)
    assert [found.name for found in store.images()] == ["one"]
    with pytest.raises(MissingError):
        store.delete(two.digest)
    assert store.collect(grace=0).blobs == 3  # manifest, config, second layer
    assert len(blobs(store)) == 3
    assert load_image(store, one.digest)


def test_a_collection_keeps_what_is_young_and_what_the_caller_holds(tmp_path: Path) -> None:
    now = time.time()
    store = LayoutStore(tmp_path / "store", clock=lambda: now)
    held = image_of(store, archive([member("held")]), name="held")
    gone = image_of(store, archive([member("gone")]), name="gone")
    store.delete(held.digest)
    store.delete(gone.digest)
    now += 3599
    assert store.collect(keep={held.digest}, grace=3600).blobs == 0
    now += 2
    assert store.collect(keep={held.digest}, grace=3600).blobs == 3
    unpack(store, held.digest, tmp_path / "final")
    assert (tmp_path / "final" / "held").exists()


def test_an_old_blob_that_is_needed_again_is_young_again(tmp_path: Path) -> None:
    now = time.time()
    store = LayoutStore(tmp_path / "store", clock=lambda: now)
    put_blob(store, b"content", digest_of(b"content"))
    now += 10_000
    put_blob(store, b"content", digest_of(b"content"))
    assert store.collect(grace=3600).blobs == 0


def test_a_collection_beside_a_damaged_image_removes_nothing(store: LayoutStore) -> None:
    image = image_of(store, archive([member("file")]))
    put_blob(store, b"garbage", digest_of(b"garbage"))
    (store.path / "blobs" / "sha256" / image.digest.removeprefix("sha256:")).unlink()
    with pytest.raises(MissingError):
        store.collect(grace=0)
    assert digest_of(b"garbage").removeprefix("sha256:") in blobs(store)


def test_an_image_with_a_missing_layer_is_never_listed(store: LayoutStore, tmp_path: Path) -> None:
    base = create_base(store, "base", labels={}, created=NOW)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "file").write_text("x")
    layer = write_layer(DirectorySource(tmp_path / "root"), store)
    assert store.collect(grace=0).blobs == 1  # nothing refers to the layer yet
    with pytest.raises(MissingError):
        append_layer(store, base.digest, layer, name="child", created=NOW)
    assert [found.name for found in store.images()] == ["base"]


def test_an_aborted_or_forgotten_writer_leaves_nothing(store: LayoutStore) -> None:
    before = files(store)
    writer = store.writer()
    writer.write(b"x" * 100_000)
    writer.abort()
    writer.abort()
    assert files(store) == before
    assert blobs(store) == set()


def test_opening_a_store_does_not_disturb_a_living_writer(store: LayoutStore) -> None:
    writer = store.writer()
    writer.write(b"content")
    LayoutStore(store.path)
    writer.commit(digest_of(b"content"))
    with store.open(digest_of(b"content")) as file:
        assert file.read() == b"content"


def test_many_writers_at_once_lose_nothing(store: LayoutStore, tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            mine = LayoutStore(store.path)
            for turn in range(5):
                tar = archive([member(f"{number}-{turn}"), member("shared")])
                image_of(mine, archive([member("base")]), tar, name=f"w{number}-{turn}")
                mine.collect(grace=60)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(store.images()) == 20
    verify(store, tmp_path)


WRITER = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from atoll.oci.directory import DirectorySource
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.publish import append_layer, create_base

now = datetime(2026, 1, 1, tzinfo=UTC)
store = LayoutStore(Path(sys.argv[1]))
root = Path(sys.argv[2])
base = create_base(store, "base", labels={}, created=now)
print("ready", flush=True)
number = int(sys.argv[3])
while True:
    number += 1
    (root / "file").write_bytes(os.urandom(300_000))
    layer = write_layer(DirectorySource(root), store)
    append_layer(store, base.digest, layer, name=f"ck-{number}", created=now)
    print(number, flush=True)
"""


def start_writer(store: Path, root: Path, first: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "extensions")}
    command = [sys.executable, "-c", WRITER, str(store), str(root), str(first)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_a_writer_killed_at_any_moment_leaves_a_good_store_and_no_debris(
    tmp_path: Path, scratch: Path
) -> None:
    path, root = tmp_path / "store", tmp_path / "root"
    root.mkdir()
    dice = random.Random(4)
    told = 0
    for _ in range(10):
        writer = start_writer(path, root, told)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(dice.random() * 0.05)
        writer.send_signal(signal.SIGKILL)
        said = writer.stdout.read().split()
        writer.stdout.close()
        writer.wait()
        told = int(said[-1]) if said else told
        store = LayoutStore(path)
        assert files(store) == {"oci-layout", "index.json"}
        names = verify(store, scratch)
        assert told == 0 or f"ck-{told}" in names  # what was said to be saved is there


def test_two_processes_write_at_once_and_both_are_listed(tmp_path: Path, scratch: Path) -> None:
    path = tmp_path / "store"
    writers = []
    for number in range(2):
        (tmp_path / f"root{number}").mkdir()
        writers.append(start_writer(path, tmp_path / f"root{number}", number * 1000))
    said = []
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for _ in range(5):
        for writer in writers:
            assert writer.stdout is not None
            said.append(writer.stdout.readline().strip())
    for writer in writers:
        assert writer.stdout is not None
        writer.kill()
        said += writer.stdout.read().split()
        writer.stdout.close()
        writer.wait()
    store = LayoutStore(path)
    names = {image.name for image in store.images()}
    assert {f"ck-{number}" for number in said} <= names
    verify(store, scratch)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(place)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_a_clear_error_and_leaves_no_debris(
    small_disk: Path, tmp_path: Path
) -> None:
    store = LayoutStore(small_disk / "store")
    base = create_base(store, "base", labels={}, created=NOW)
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(os.urandom(2_000_000))
    before = (files(store), blobs(store))
    with pytest.raises(StoreFullError) as caught:
        write_layer(DirectorySource(root), store)
    assert "No room is left" in caught.value.detail
    assert caught.value.hint
    assert (files(store), blobs(store)) == before
    (root / "file").write_bytes(os.urandom(1000))
    layer = write_layer(DirectorySource(root), store)
    append_layer(store, base.digest, layer, name="later", created=NOW)


def test_a_disk_that_fills_up_at_any_point_of_a_save_leaves_a_good_store(
    small_disk: Path, tmp_path: Path, scratch: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(os.urandom(20_000))
    failures = 0
    for room in range(0, 80_000, 4096):
        store = LayoutStore(small_disk / f"store{room}")
        base = create_base(store, "base", labels={}, created=NOW)
        fill(small_disk / "ballast", room)
        before = (files(store), blobs(store))
        try:
            layer = write_layer(DirectorySource(root), store)
            append_layer(store, base.digest, layer, name="child", created=NOW)
        except StoreFullError:
            failures += 1
            assert files(store) == before[0]  # whole blobs may stay: the next attempt needs them
            store.collect(grace=0)
            assert blobs(store) == before[1]
        (small_disk / "ballast").unlink()
        verify(store, scratch)
        subprocess.run(["rm", "-r", str(store.path)], check=True)
    assert 5 < failures < 20


def fill(ballast: Path, room: int) -> None:
    """Uses up a disk but for `room` bytes."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        file.truncate(max(0, file.tell() - room))


def test_unpacking_to_a_full_disk_is_a_clear_error_and_leaves_nothing(
    small_disk: Path, store: LayoutStore
) -> None:
    image = image_of(store, archive([member("big", content=os.urandom(5_000_000))]))
    with pytest.raises(StoreFullError):
        unpack(store, image.digest, small_disk / "final")
    assert list(small_disk.iterdir()) == []


def test_a_blob_is_never_seen_before_it_is_whole(store: LayoutStore) -> None:
    content = os.urandom(1_000_000)
    digest: Digest = digest_of(content)
    writer = store.writer()
    writer.write(content[:500_000])
    assert not store.has(digest)
    with pytest.raises(MissingError):
        store.open(digest)
    writer.write(content[500_000:])
    writer.commit(digest)
    assert store.has(digest)
    assert isinstance(digest, str)
    assert Descriptor("x", digest, len(content)).name == ""
