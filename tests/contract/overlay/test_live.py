"""Saving while the container runs: passes, then a cut that looks only where something happened."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.overlay import OverlaySource
from atoll.oci.partial import changed_anyway
from atoll.oci.unpack import unpack
from atoll.oci.watch import Watch, notices_writes
from hypothesis import HealthCheck, given, settings

from tests.contract.overlay.images import append, base_image
from tests.contract.overlay.mounts import (
    Overlay,
    differences,
    do,
    mounted,
    plant,
    umoci_unpack,
    work,
)
from tests.exploring import examples
from tests.unit.oci.trees import Step


def save_live(
    top: Path, lower: Path, overlay: Overlay, meanwhile: Callable[[], object]
) -> tuple[Path, Path, tuple[bytes, ...]]:
    """One pass, then what happens meanwhile, then the cut; unpacked by us and by umoci, and the watch."""
    store = LayoutStore(top / "store")
    base = base_image(store, lower)
    with Watch() as watch:
        first = OverlaySource(overlay.upper, (lower,), watch=watch)
        image = append(store, base, first, "first")
        meanwhile()
        touched = watch.touched()
    assert touched is not None
    cut = OverlaySource(
        overlay.upper, (lower,), since=first.index(), opaque=first.opaque, only=touched
    )
    image = append(store, image, cut, "cut")
    unpack(store, image.digest, top / "ours", owner=True, setuid=True)
    return top / "ours", umoci_unpack(store, image, top), tuple(sorted(touched))


@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(work, work)
def test_a_pass_and_a_cut_unpack_to_what_the_mount_shows(
    before: list[Step], meanwhile: list[Step]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        lower = top / "lower"
        lower.mkdir()
        plant(lower)
        with mounted(top / "run", (lower,)) as overlay:
            for step in before:
                do(overlay.merged, step)

            def more() -> None:
                for step in meanwhile:
                    do(overlay.merged, step)

            ours, theirs, _ = save_live(top, lower, overlay, more)
            assert differences(overlay.merged, ours) == {}
            assert differences(overlay.merged, theirs) == {}


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    lower = tmp_path / "lower"
    lower.mkdir()
    plant(lower)
    return lower


def _write_in_place(merged: Path) -> None:
    with (merged / "many" / "7" / "file").open("r+b") as file:
        file.write(b"other")


def _another_name_in_a_quiet_place(merged: Path) -> None:
    (merged / "many" / "3" / "second").hardlink_to(merged / "many" / "7" / "file")


def _change_one_name(merged: Path) -> None:
    with (merged / "linked").open("ab") as file:
        file.write(b"more")


def _move_a_directory_away_and_back(merged: Path) -> None:
    (merged / "many" / "7").rename(merged / "aside")
    (merged / "aside" / "new").write_bytes(b"new")
    (merged / "aside").rename(merged / "many" / "7")


def _replace_an_empty_directory(merged: Path) -> None:
    (merged / "empty").rmdir()
    (merged / "empty").mkdir()
    (merged / "empty" / "full").write_bytes(b"now")


@pytest.mark.parametrize(
    "happens",
    [
        _write_in_place,
        _another_name_in_a_quiet_place,
        _change_one_name,
        _move_a_directory_away_and_back,
        _replace_an_empty_directory,
    ],
)
def test_what_happens_after_a_pass_is_in_the_cut(
    happens: Callable[[Path], None], lower: Path, tmp_path: Path
) -> None:
    with mounted(tmp_path / "run", (lower,)) as overlay:
        for number in range(20):
            directory = overlay.merged / "many" / f"{number}"
            directory.mkdir(parents=True)
            (directory / "file").write_bytes(b"%d" % number * 500)
        (overlay.merged / "linked").hardlink_to(overlay.merged / "many" / "5" / "file")
        (overlay.merged / "empty").mkdir()
        ours, theirs, touched = save_live(tmp_path, lower, overlay, lambda: happens(overlay.merged))
        assert len(touched) < 5
        assert differences(overlay.merged, ours) == {}
        assert differences(overlay.merged, theirs) == {}


def test_a_mapped_file_is_saved_again_whatever_its_times_say(lower: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "run", (lower,)) as overlay:
        path = overlay.merged / "mapped"
        path.write_bytes(bytes(5000))
        store = LayoutStore(tmp_path / "store")
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 5000) as mapping:
            for _ in range(20):  # once nothing is written back meanwhile, which sets the times
                mapping[0] = 1
                first = OverlaySource(overlay.upper, (lower,))
                write_layer(first, store)
                status = path.stat()
                mapping[0] = 2
                if path.stat().st_ctime_ns == status.st_ctime_ns:
                    break
            assert path.stat().st_ctime_ns == status.st_ctime_ns
            since = changed_anyway(first.index(), [b"mapped"])
            cut = OverlaySource(overlay.upper, (lower,), since=since, only=[b""])
            found = {e.path: b"".join(cut.content(e)) for e in cut.entries() if e.size}
        assert found[b"mapped"][0] == 2


def test_this_kernel_tells_of_what_is_written_through_an_overlay(tmp_path: Path) -> None:
    assert notices_writes(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_events_that_were_lost_mean_that_all_must_be_looked_at(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    descriptor = os.open(directory, os.O_RDONLY)
    with Watch() as watch:
        watch.add(b"d", descriptor)
        watch.add(b"moved/d", descriptor)
        assert watch.touched() is None
    os.close(descriptor)


def test_a_source_without_an_index_gives_the_same_and_remembers_nothing(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    upper.mkdir()
    plant(upper)
    plain = OverlaySource(upper, (), indexed=False)
    assert [e.path for e in plain.entries()] == [e.path for e in OverlaySource(upper, ()).entries()]
    with pytest.raises(ValueError, match="index"):
        plain.index()
