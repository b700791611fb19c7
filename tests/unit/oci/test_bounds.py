"""Bounds: reports that stay readable, entries that are counted before they fill memory, deep trees."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from atoll.oci.changes import changes
from atoll.oci.directory import DirectorySource
from atoll.oci.errors import InvalidImageError, LimitError, SourceError
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.source import Limits, Report, shown
from atoll.oci.tree import remove_tree
from atoll.oci.unpack import unpack
from atoll.oci.walk import index_of

from tests.unit.oci.trees import archive, debris, image_of, member


def make_deep(top: Path, levels: int) -> None:
    """Directories in each other, deeper than any path or descriptor table reaches."""
    here = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, 0o400, dir_fd=here))
    os.close(here)


def test_a_report_of_very_many_paths_names_some_and_counts_the_rest() -> None:
    report = Report()
    for number in range(10_250):
        report.add(b"socket %d" % number, "a socket is not saved")
    items = report.items()
    assert len(items) == 10_001
    assert items[-1] == (b"", "250 more are not listed")


def test_a_scan_stops_at_the_entries_allowed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    for number in range(12):
        (tmp_path / "root" / f"{number}").touch()
    assert changes(tmp_path / "root", limits=Limits(entries=12)).files == 12
    with pytest.raises(LimitError, match="more than 11 entries"):
        changes(tmp_path / "root", limits=Limits(entries=11))


def test_a_directory_of_very_many_names_is_refused_before_it_fills_the_memory(
    tmp_path: Path,
) -> None:
    many = tmp_path / "d" / "many"
    many.mkdir(parents=True)
    for number in range(60):
        (many / str(number)).touch()
    with pytest.raises(LimitError, match=r"directory /d/many has more than 50 entries"):
        changes(tmp_path, limits=Limits(names=50))


def test_directories_that_a_layer_only_implies_count_as_entries(
    store: LayoutStore, tmp_path: Path
) -> None:
    image = image_of(store, archive([member("/".join("abcdefgh"))]))
    with pytest.raises(LimitError):
        unpack(store, image.digest, tmp_path / "final", limits=Limits(entries=7))
    assert debris(tmp_path) == []


def test_a_tree_deeper_than_descriptors_reach_is_saved_in_part_and_replaced(
    store: LayoutStore, tmp_path: Path
) -> None:
    final = tmp_path / "final"
    final.mkdir()
    (final / "file").touch()
    make_deep(final, 3000)
    source = DirectorySource(final)
    layer = write_layer(source, store)
    assert layer.entries == 257
    assert [item.reason for item in layer.left_out] == ["nested deeper than 256 directories"]
    image = image_of(store, archive([member("new")]))
    unpack(store, image.digest, final)
    assert [path.name for path in final.iterdir()] == ["new"]
    assert debris(tmp_path) == []


@contextmanager
def few_descriptors(more: int) -> Iterator[None]:
    """This process may open so many files more, or less."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    "read", [changes, index_of, lambda root: list(DirectorySource(root).entries())]
)
def test_what_the_machine_cannot_read_now_is_not_left_out(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    make_deep(tmp_path, 200)
    with few_descriptors(50), pytest.raises(SourceError, match="cannot be read now"):
        read(tmp_path)


def test_a_tree_of_directories_that_nobody_may_enter_is_removed(tmp_path: Path) -> None:
    (tmp_path / "top" / "closed" / "inside").mkdir(parents=True)
    (tmp_path / "top" / "closed").chmod(0)
    (tmp_path / "top").chmod(0o500)
    remove_tree(tmp_path / "top")
    assert not (tmp_path / "top").exists()


def test_a_store_that_lost_its_list_says_so_and_removes_nothing(
    store: LayoutStore, tmp_path: Path
) -> None:
    image_of(store, archive([member("file")]))
    blobs = sorted((store.path / "blobs" / "sha256").iterdir())
    (store.path / "index.json").unlink()
    with pytest.raises(InvalidImageError, match="lost its index"):
        LayoutStore(store.path).collect(grace=0)
    assert sorted((store.path / "blobs" / "sha256").iterdir()) == blobs


@pytest.mark.parametrize("kind", ["file", "symlink"])
def test_restoring_over_what_is_no_directory_is_refused(
    store: LayoutStore, tmp_path: Path, kind: str
) -> None:
    final = tmp_path / "final"
    if kind == "file":
        final.write_text("mine")
    else:
        final.symlink_to(tmp_path)
    image = image_of(store, archive([member("file")]))
    with pytest.raises(SourceError, match="no directory"):
        unpack(store, image.digest, final)
    assert final.is_symlink() == (kind == "symlink")
    assert debris(tmp_path) == []


def test_names_are_shown_without_control_characters() -> None:
    assert shown(b"a\nb\x1b[31m\xff") == "a\\nb\\x1b[31m\\xff"
    assert shown("grüße".encode()) == "grüße"
