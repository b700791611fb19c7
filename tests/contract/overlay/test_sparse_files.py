"""Files with holes: their zeros are in the layer, but nothing is read or written for them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from atoll.oci.errors import LimitError
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.overlay import OverlaySource
from atoll.oci.overlay_changes import scan
from atoll.oci.publish import append_layer, create_base
from atoll.oci.source import Kind, Limits
from atoll.oci.sparse import pieces
from atoll.oci.unpack import unpack

from tests.contract.overlay.images import append
from tests.contract.overlay.mounts import umoci_unpack
from tests.unit.oci.trees import NOW

MIB = 1 << 20


def sparse(path: Path, size: int, *places: int) -> Path:
    """A file of `size` bytes that has data at some places only."""
    with path.open("wb") as file:
        file.truncate(size)
        for place in places:
            file.seek(place)
            file.write(b"data")
    return path


@pytest.mark.parametrize(
    ("size", "places"),
    [
        (5 * MIB, ()),
        (5 * MIB, (0,)),
        (5 * MIB, (5 * MIB - 4,)),
        (5 * MIB + 17, (MIB - 2, 3 * MIB)),
        (1, ()),
    ],
)
def test_holes_come_back_as_zeros_and_our_own_restore_makes_holes_again(
    size: int, places: tuple[int, ...], tmp_path: Path
) -> None:
    upper = tmp_path / "upper"
    upper.mkdir()
    made = sparse(upper / "f", size, *places)
    store = LayoutStore(tmp_path / "store")
    base = create_base(store, "base", labels={}, created=NOW)
    image = append(store, base, OverlaySource(upper, ()), "ck")
    unpack(store, image.digest, tmp_path / "ours")
    ours = tmp_path / "ours" / "f"
    assert ours.read_bytes() == made.read_bytes()
    assert ours.stat().st_blocks * 512 <= (len(places) + 1) * MIB
    assert (umoci_unpack(store, image, tmp_path) / "f").read_bytes() == made.read_bytes()


def test_a_hole_is_not_read(tmp_path: Path) -> None:
    made = sparse(tmp_path / "f", 1 << 40, 1 << 39)
    descriptor = os.open(made, os.O_RDONLY)
    try:
        given = pieces(descriptor, 1 << 40, holes=True)
        began = time.monotonic()
        total = sum(len(next(given)) for _ in range(20_000))
        assert total == 20_000 * MIB
        assert time.monotonic() - began < 5
    finally:
        os.close(descriptor)


def test_a_sparse_bomb_is_stopped_before_it_is_read(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    upper.mkdir()
    sparse(upper / "bomb", 8 << 40)
    limits = Limits(size=1 << 30)
    began = time.monotonic()
    with pytest.raises(LimitError, match="8,796,093,022,208 bytes in 1 entries"):
        scan(upper, limits=limits)
    store = LayoutStore(tmp_path / "store")
    with pytest.raises(LimitError, match="bomb alone has 8,796,093,022,208"):
        write_layer(OverlaySource(upper, (), limits=limits), store, limits=limits)
    assert time.monotonic() - began < 5
    assert scan(upper, limits=Limits(size=16 << 40)).disk == 0


def test_a_file_that_shrinks_while_its_holes_are_read_keeps_its_size(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    upper.mkdir()
    made = sparse(upper / "f", 8 * MIB, 6 * MIB)
    source = OverlaySource(upper, ())
    for entry in source.entries():
        assert entry.kind is Kind.FILE
        content = source.content(entry)
        first = next(content)
        os.truncate(made, MIB)
        assert len(first) + sum(map(len, content)) == entry.size == 8 * MIB
    assert source.torn() == (b"f",)
    store = LayoutStore(tmp_path / "store")
    base = create_base(store, "base", labels={}, created=NOW)
    layer = write_layer(OverlaySource(upper, (), since=source.index()), store)
    assert layer.entries == 1  # saved again
    append_layer(store, base.digest, layer, name="again", created=NOW)
