"""The index: saved and loaded exactly, and a damaged one is refused, never believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from atoll.oci.directory import DirectorySource
from atoll.oci.errors import IndexFileError, StoreFullError
from atoll.oci.index import Index, record
from hypothesis import given
from hypothesis import strategies as st


def index_of(root: Path) -> Index:
    source = DirectorySource(root)
    for _ in source.entries():
        pass
    return source.index(image="sha256:" + "a" * 64)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    root = tmp_path / "root"
    (root / "dir" / "empty").mkdir(parents=True)
    (root / "dir" / "file").write_text("x")
    (root / "link").symlink_to("dir")
    with open(os.fsencode(root) + b"/\xff\n", "wb") as file:  # noqa: PTH123 - the name is bytes
        file.write(b"x")
    return index_of(root)


def test_a_saved_index_is_loaded_as_it_was(index: Index, tmp_path: Path) -> None:
    index.save(tmp_path / "index")
    loaded = Index.load(tmp_path / "index")
    assert loaded.directories == index.directories
    assert loaded.image == index.image
    assert len(loaded) == 5


@given(st.data())
def test_no_damage_to_an_index_goes_unseen(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("index")
    Index({b"": {b"name": bytes(44)}, b"dir": {}}, image="x").save(directory / "index")
    content = bytearray((directory / "index").read_bytes())
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    (directory / "index").write_bytes(content)
    with pytest.raises(IndexFileError) as caught:
        Index.load(directory / "index")
    assert caught.value.hint


def test_a_missing_index_is_the_same_clear_error(tmp_path: Path) -> None:
    with pytest.raises(IndexFileError, match="cannot be read"):
        Index.load(tmp_path / "none")


def test_a_failed_save_leaves_the_old_index_and_nothing_beside_it(
    index: Index, tmp_path: Path
) -> None:
    path = tmp_path / "there" / "index"
    path.parent.mkdir()
    Index({}, image="old").save(path)
    full = Path("/dev/full")
    (path.parent / ".index.new").symlink_to(full)  # every write to it fails: no space left
    with pytest.raises(StoreFullError):
        index.save(path)
    assert Index.load(path).image == "old"
    assert [found.name for found in path.parent.iterdir()] == ["index"]


@pytest.mark.parametrize("seconds", [-(1 << 31), -1, 0, 10_413_792_000, 15_000_000_000])
def test_any_time_a_file_can_have_is_recorded(tmp_path: Path, seconds: int) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    os.utime(file, (seconds, seconds))
    one = record(file.stat())
    os.utime(file, (seconds + 1, seconds + 1))
    assert record(file.stat()) != one
