"""Named cases of two layers that become one: what the first did must still be done to the base."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from atoll.oci import layered
from atoll.oci.errors import InvalidImageError, LimitError
from atoll.oci.image import Descriptor, Digest
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.merge import MergedSource, Weight, worth_merging
from atoll.oci.overlay import OverlaySource
from atoll.oci.source import Kind, Limits
from atoll.oci.store import load_image
from atoll.oci.unpack import unpack

from tests.contract.overlay.images import append, base_image, taken
from tests.contract.overlay.mounts import differences, mounted, umoci_unpack
from tests.unit.oci.trees import archive, image_of, member


class Case(NamedTuple):
    first: str
    second: str
    layer: str  # as in test_named_cases: of the merged layer


BASE = "mkdir -p d/sub e; echo 1 >d/f; echo 2 >d/sub/g; echo 3 >e/f; ln e/f e/f2; echo 4 >file"
CASES = {
    "made and deleted again": Case("mkdir n; echo 1 >n/f", "rm -r n", "-n"),
    "a deletion of the base stays": Case("rm -r d", "echo 1 >e/new", "-d +e +e/new"),
    "deleted, then made again": Case("rm -r d", "mkdir d; echo 1 >d/h", "+d od +d/h"),
    "made again, then added to": Case(
        "rm -r d; mkdir d; echo 1 >d/h", "echo 2 >d/i", "+d od +d/h +d/i"
    ),
    "added to, then made again": Case(
        "echo 1 >d/new; echo 2 >d/sub/new", "rm -r d; mkdir d; echo 3 >d/f", "+d od +d/f"
    ),
    "made again in the second alone": Case("echo 1 >e/x", "rm -r d; mkdir d", "+d od +e +e/x"),
    "a file in place of a directory, then a directory": Case(
        "rm -r d; echo 1 >d", "rm d; mkdir d; echo 2 >d/x", "+d od +d/x"
    ),
    "a directory in place of a file, then a file": Case(
        "rm file; mkdir file; echo 1 >file/x", "rm -r file; echo 2 >file", "+file"
    ),
    "deleted, then a directory with the deep part of before": Case(
        "rm -r d", "mkdir -p d/sub; echo 1 >d/sub/h", "+d od +d/sub +d/sub/h"
    ),
    "written to in place in a directory made again before": Case(
        "rm -r d; mkdir -p d/sub; echo 1 >d/sub/f",
        "printf 2 | dd of=d/sub/f 2>&1 | cat",
        "+d od +d/sub +d/sub/f",
    ),
    "two names, one of them replaced": Case(
        "echo 1 >a; ln a b; ln a c", "rm a; echo 2 >a", "+a +b =c"
    ),
    "two names, the first deleted": Case("echo 1 >a; ln a b; ln a c", "rm a", "-a +b =c"),
    "a further name in the second": Case("echo 1 >a", "ln a b", "+a =b"),
    "names over directories, all but the last deleted": Case(
        "echo 1 >d/a; ln d/a e/b", "rm d/a", "+d -d/a +e +e/b"
    ),
    "a symlink given another target": Case("ln -s x s", "ln -sfn y s", "+s"),
    "a symlink, then a directory": Case("ln -s d s", "rm s; mkdir s; touch s/f", "+s os +s/f"),
}
_SIGNS = {Kind.WHITEOUT: "-", Kind.OPAQUE: "o", Kind.HARDLINK: "="}


def shell(script: str, place: Path) -> None:
    subprocess.run(["sh", "-euc", script], cwd=place, check=True)


def layers_of(store: LayoutStore, image: Descriptor) -> list[tuple[Descriptor, Digest]]:
    """What lies over the empty first layer and the base."""
    whole = load_image(store, image.digest)
    return list(zip(whole.manifest.layers, whole.config.diff_ids, strict=True))[2:]


@pytest.mark.parametrize("kind", ["blobs", "top", "packed"])
@pytest.mark.parametrize("name", CASES)
def test_two_layers_as_one_do_what_both_did(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    if kind == "packed":
        monkeypatch.setattr(layered, "_AT_HAND", 1)
    lower = tmp_path / "lower"
    lower.mkdir()
    shell(BASE, lower)
    store = LayoutStore(tmp_path / "store")
    base = image = base_image(store, lower)
    with mounted(tmp_path / "one", (lower,)) as overlay:
        shell(case.first, overlay.merged)
        image = append(store, image, OverlaySource(overlay.upper, (lower,)), "one")
    lowers = (overlay.upper, lower)
    with mounted(tmp_path / "two", lowers) as overlay:
        shell(case.second, overlay.merged)
        image = append(store, image, OverlaySource(overlay.upper, lowers), "two")
        layers = layers_of(store, image)

        def merging() -> MergedSource:
            if kind == "top":
                return MergedSource(store, layers[:1], top=OverlaySource(overlay.upper, lowers))
            return MergedSource(store, layers)

        found = {_SIGNS.get(e.kind, "+") + e.path.decode() for e in taken(merging()).values()}
        assert found == set(case.layer.split())
        merged = append(store, base, merging(), "merged")
        unpack(store, merged.digest, tmp_path / "ours", owner=True, setuid=True)
        assert differences(overlay.merged, tmp_path / "ours") == {}
        assert differences(overlay.merged, umoci_unpack(store, merged, tmp_path)) == {}


def test_what_the_base_never_had_needs_no_deletion(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "store")
    made = archive([member("new", content=b"1"), member("kept", content=b"2")])
    gone = archive([member(".wh.new"), member(".wh.old")])
    layers = layers_of(store, image_of(store, archive([]), archive([]), made, gone))
    merged = taken(MergedSource(store, layers, in_base=lambda path: path == b"old"))
    assert {path: entry.kind for path, entry in merged.items()} == {
        b"old": Kind.WHITEOUT,
        b"kept": Kind.FILE,
    }


def test_merging_gives_the_same_bytes_each_time_and_reads_less_than_there_is(
    tmp_path: Path,
) -> None:
    store = LayoutStore(tmp_path / "store")
    tars = [
        archive([member(f"f{n}", content=bytes([number]) * 1000) for n in range(number, 9)])
        for number in range(9)
    ]
    layers = layers_of(store, image_of(store, archive([]), archive([]), *tars))
    digests = {write_layer(MergedSource(store, layers), store).descriptor.digest for _ in range(3)}
    assert len(digests) == 1
    assert MergedSource(store, layers).weight() == Weight(size=45_000, shadowed=36_000)


def test_a_link_to_a_file_of_the_base_that_was_replaced_is_refused(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "store")
    link = archive([member("b", kind=b"1", link="base")])
    whole = image_of(store, archive([]), archive([]), link, name="fine")
    assert taken(MergedSource(store, layers_of(store, whole)))[b"b"].kind is Kind.HARDLINK
    replaced = archive([member("base", content=b"new")])
    whole = image_of(store, archive([]), archive([]), link, replaced, name="lost")
    with pytest.raises(InvalidImageError, match="another name of a file of the base"):
        taken(MergedSource(store, layers_of(store, whole)))


def test_merging_keeps_to_the_limits(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "store")
    tar = archive([member(f"f{n}") for n in range(20)])
    layers = layers_of(store, image_of(store, archive([]), archive([]), tar))
    with pytest.raises(LimitError, match="more than 10 entries"):
        taken(MergedSource(store, layers, limits=Limits(entries=10)))


@pytest.mark.parametrize(
    ("layers", "size", "shadowed", "expected"),
    [
        (1, 100, 90, False),
        (8, 100, 30, False),
        (9, 100, 0, True),
        (2, 100, 31, True),
        (2, 0, 0, False),
    ],
)
def test_merging_is_worth_it_for_many_layers_or_much_that_nobody_sees(
    layers: int, size: int, shadowed: int, expected: bool
) -> None:
    assert worth_merging(layers, Weight(size, shadowed)) is expected
