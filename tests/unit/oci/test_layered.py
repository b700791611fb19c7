"""Layers applied one after the other: what is packed is found again, and takes little."""

from __future__ import annotations

import tracemalloc

import pytest
from atoll.oci import layered
from atoll.oci.layered import Folder, Layered, file_id
from atoll.oci.source import Entry, Kind

DIRECTORIES = 300
FILES = 200


def applied(*layers: list[Entry]) -> Layered:
    tree = Layered()
    for number, entries in enumerate(layers):
        for position, entry in enumerate(entries):
            tree.apply(number, position, entry)
    return tree


def many() -> list[Entry]:
    return [
        Entry(b"d%d/file_of_some_name_%d.py" % (directory, file), Kind.FILE)
        for directory in range(DIRECTORIES)
        for file in range(FILES)
    ]


def test_names_of_directories_that_are_not_at_hand_take_less_than_fifty_bytes() -> None:
    entries = many()
    tracemalloc.start()
    try:
        tree = applied(entries)
        size = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    at_hand = layered._AT_HAND * FILES * 160
    assert size < at_hand + 50 * len(entries)
    assert sum(isinstance(node, int) for _, node, _ in tree.walk()) == len(entries)


@pytest.mark.parametrize("at_hand", [1, 2, 1000])
def test_what_is_packed_is_found_replaced_linked_and_deleted_as_ever(
    at_hand: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layered, "_AT_HAND", at_hand)
    first = [Entry(b"%s/%d" % (d, n), Kind.FILE) for d in (b"a", b"a/in", b"b") for n in range(5)]
    second = [
        Entry(b"a/1", Kind.WHITEOUT),
        Entry(b"a/2", Kind.FILE),
        Entry(b"b/also 3", Kind.HARDLINK, link=b"a/3"),
        Entry(b"b/2", Kind.DIRECTORY),
        Entry(b"a/in", Kind.OPAQUE),
        Entry(b"a/in/new", Kind.FILE),
        Entry(b"a/in/new", Kind.FILE),
    ]
    tree = applied(first, second)
    assert tree.find(b"a/0") == file_id(0, 0)
    assert tree.find(b"a/2") == file_id(1, 1)
    assert tree.find(b"a/3") == tree.find(b"b/also 3") == file_id(0, 3)
    assert isinstance(tree.find(b"b/2"), Folder)
    assert tree.find(b"a/in/new") == file_id(1, 6), "a name that comes twice is the last"
    assert tree.find(b"a/in/0") is None, "hidden by what made its directory empty"
    assert [path for path, _, _ in tree.walk()] == sorted(
        {b"a", b"a/in", b"a/in/new", b"b", b"b/also 3"}
        | {b"%s/%d" % (d, n) for d in (b"a", b"b") for n in range(5)}
    )


def test_a_large_directory_is_not_packed_again_and_again_for_what_is_below_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed: list[int] = []
    pack = Folder.pack

    def counting(folder: Folder) -> None:
        packed.append(len(folder.children))
        pack(folder)

    monkeypatch.setattr(Folder, "pack", counting)
    entries = [Entry(b"d/file-%d" % n, Kind.FILE) for n in range(1000)]
    for number in range(500):
        entries.append(Entry(b"d/in-%d" % number, Kind.DIRECTORY))
        entries.append(Entry(b"d/in-%d/file" % number, Kind.FILE))
    applied(entries)
    assert len(packed) > 400
    assert max(packed) < 10


def test_links_to_many_directories_in_turn_unpack_none_of_them_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Names are sorted, so whoever links them chooses the order: quadratic time would be an attack."""
    unpacked: list[Folder] = []
    unpack = Folder.unpack

    def counting(folder: Folder) -> None:
        unpacked.append(folder)
        unpack(folder)

    monkeypatch.setattr(Folder, "unpack", counting)
    monkeypatch.setattr(layered, "_AT_HAND", 2)
    places = [b"%d" % place for place in range(5)]
    entries = [Entry(b"%s/%d" % (place, n), Kind.FILE) for place in places for n in range(200)]
    for number in range(200):
        for place in places:
            link = b"%s/%d" % (place, number)
            entries.append(Entry(b"z/" + link.replace(b"/", b"-"), Kind.HARDLINK, link=link))
    tree = applied(entries)
    assert len(unpacked) <= (len(places) + 2) * layered._UNPACKED
    assert tree.find(b"z/3-199") == tree.find(b"3/199")
