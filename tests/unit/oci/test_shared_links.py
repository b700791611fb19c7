"""Files that share their inode with a package cache: linking them elsewhere is no change of theirs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from atoll.oci.changes import changes
from atoll.oci.directory import DirectorySource
from atoll.oci.index import Index
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.publish import append_layer, create_base
from atoll.oci.source import Kind
from atoll.oci.unpack import unpack
from atoll.oci.walk import index_of

from tests.unit.oci.trees import NOW, differences


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "module").write_text("as installed")
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path, cache: Path) -> Path:
    """An environment with a module that was linked from the cache."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "module").hardlink_to(cache / "module")
    return tmp_path / "root"


def kinds(root: Path, since: Index) -> dict[bytes, Kind]:
    return {entry.path: entry.kind for entry in DirectorySource(root, since=since).entries()}


def test_installing_the_same_package_elsewhere_changes_nothing_here(
    root: Path, cache: Path, tmp_path: Path
) -> None:
    index = index_of(root)
    (tmp_path / "other").hardlink_to(cache / "module")
    assert kinds(root, index) == {}
    assert changes(root, since=index).files == 0


def test_cleaning_the_cache_changes_nothing_here(root: Path, cache: Path) -> None:
    index = index_of(root)
    (cache / "module").unlink()
    assert kinds(root, index) == {}


def test_a_link_made_and_the_content_changed_is_a_change(root: Path, tmp_path: Path) -> None:
    index = index_of(root)
    (tmp_path / "other").hardlink_to(root / "module")
    (root / "module").write_text("as modified!")
    assert kinds(root, index) == {b"module": Kind.FILE}


@pytest.mark.parametrize("name", ["a-name-before", "zz-name-after"])
def test_a_further_name_of_a_saved_file_is_saved_as_a_link_to_it(
    root: Path, tmp_path: Path, name: str
) -> None:
    store = LayoutStore(tmp_path / "store")
    base = create_base(store, "base", labels={}, created=NOW)
    source = DirectorySource(root)
    image = append_layer(store, base.digest, write_layer(source, store), name="one", created=NOW)
    index = source.index(image=image.digest)
    (root / name).hardlink_to(root / "module")
    layer = write_layer(DirectorySource(root, since=index), store)
    image = append_layer(store, image.digest, layer, name="two", created=NOW)
    unpack(store, image.digest, tmp_path / "restored")
    assert differences(root, tmp_path / "restored") == {}
    assert (tmp_path / "restored" / name).samefile(tmp_path / "restored" / "module")


def test_a_link_made_and_an_attribute_set_is_a_change(root: Path, tmp_path: Path) -> None:
    index = index_of(root)
    (tmp_path / "second").hardlink_to(root / "module")
    os.setxattr(root / "module", "user.atoll.test", b"1")
    assert kinds(root, index) == {b"module": Kind.FILE}
