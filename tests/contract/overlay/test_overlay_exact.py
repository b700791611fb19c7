"""What a container sees is what its image holds: random work on real overlay mounts."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from atoll.oci.image import Descriptor
from atoll.oci.layout import LayoutStore
from atoll.oci.merge import MergedSource
from atoll.oci.overlay import OverlaySource
from atoll.oci.overlay_changes import overlay_changes, scan
from atoll.oci.store import load_image
from atoll.oci.unpack import unpack
from hypothesis import HealthCheck, given, settings

from tests.contract.overlay.images import append, base_image
from tests.contract.overlay.mounts import (
    Overlay,
    differences,
    do,
    everything,
    files,
    holes_filled,
    mounted,
    mounted_by_nobody,
    specials,
    umoci_unpack,
    under,
    work,
    worked_on,
)
from tests.exploring import examples
from tests.unit.oci.trees import Step

EXAMPLES = examples(25)
"""Random trees a property; thousands where somebody has the time."""


def assert_merged_is_the_same(
    store: LayoutStore, image: Descriptor, overlay: Overlay, top: Path
) -> None:
    """Both user layers as one over the base; made from blobs, and from a blob and the upper itself."""
    whole = load_image(store, image.digest)
    layers = list(zip(whole.manifest.layers, whole.config.diff_ids, strict=True))[2:]
    base = next(found for found in store.images() if found.name == "base")
    source = OverlaySource(overlay.upper, overlay.lowers)
    merged = {
        "blobs": MergedSource(store, layers),
        "top": MergedSource(store, layers[:1], top=source),
    }
    for name, merging in merged.items():
        squashed = append(store, base, merging, name)
        assert len(load_image(store, squashed.digest).manifest.layers) == 3
        unpack(store, squashed.digest, top / name, owner=True, setuid=True)
        assert differences(overlay.merged, top / name) == {}, name
        theirs = umoci_unpack(store, squashed, top / f"umoci-{name}")
        assert differences(overlay.merged, theirs) == {}, name


def assert_changes_are_told(overlay: Overlay) -> None:
    """What is added, changed and removed: against the lowers, mounted without the upper."""
    empty = overlay.merged.parent / "before"
    with mounted(empty, overlay.lowers) as below:
        before, after = everything(below.merged), everything(overlay.merged)
        pipes = {os.fsencode(path.relative_to(below.merged)) for path in specials(below.merged)}
    told = overlay_changes(overlay.upper, overlay.lowers)
    added, changed, removed = (
        {change.path for change in part} for part in (told.added, told.changed, told.removed)
    )
    assert added == after.keys() - before.keys() - pipes
    assert removed - pipes == before.keys() - after.keys()
    different = {p for p in before.keys() & after.keys() if before[p][:3] != after[p][:3]}
    assert different <= changed <= after.keys()
    shutil.rmtree(empty)
    looked = scan(overlay.upper)
    assert looked.entries >= len(added)
    assert looked.size == sum({s.st_ino: s.st_size for s in files(overlay.upper)}.values())


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(work, work, work)
def test_base_and_two_layers_unpack_to_what_the_mount_shows(
    before: list[Step], first: list[Step], second: list[Step]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        lower = worked_on(top / "lower", before)
        store = LayoutStore(top / "store")
        image = base_image(store, lower)
        lowers: tuple[Path, ...] = (lower,)
        for number, steps in enumerate((first, second)):
            with mounted(top / str(number), lowers) as overlay:
                for step in steps:
                    do(overlay.merged, step)
                image = append(store, image, OverlaySource(overlay.upper, lowers), f"{number}")
                unpack(store, image.digest, top / "ours", owner=True, setuid=True)
                assert differences(overlay.merged, top / "ours") == {}
                assert holes_filled(overlay.merged, top / "ours") == []
                theirs = umoci_unpack(store, image, top / f"umoci-{number}")
                assert differences(overlay.merged, theirs) == {}
                assert_changes_are_told(overlay)
                if number:
                    assert_merged_is_the_same(store, image, overlay, top)
            lowers = (overlay.upper, *lowers)


@settings(
    max_examples=max(EXAMPLES // 5, 3), deadline=None, suppress_health_check=list(HealthCheck)
)
@given(work, work)
def test_a_mount_of_somebody_who_is_root_in_a_user_namespace_alone(
    before: list[Step], then: list[Step]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        lower = worked_on(top / "lower", before)
        store = LayoutStore(top / "store")
        image = base_image(store, lower)
        with mounted_by_nobody(top / "over", (lower,)) as overlay:
            for step in then:
                do(overlay.merged, step)
            source = OverlaySource(overlay.upper, overlay.lowers, userxattr=True)
            image = append(store, image, source, "saved")
            unpack(store, image.digest, top / "ours", owner=True, setuid=True)
            assert differences(overlay.merged, top / "ours", under(overlay)) == {}
