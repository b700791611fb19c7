"""What a user's layers show otherwise than the base: told without reading any content."""

from __future__ import annotations

import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from atoll.oci.errors import LimitError
from atoll.oci.source import Kind, Limits
from atoll.oci.stack import Difference, Folder, Stack
from hypothesis import HealthCheck, given, settings

from tests.contract.overlay.mounts import do, everything, mounted, work, worked_on
from tests.exploring import examples
from tests.unit.oci.trees import Step


def told(upper: Path, own: tuple[Path, ...], base: tuple[Path, ...]) -> dict[bytes, Difference]:
    """All differences by path; each is told once."""
    found = list(Stack(upper, own, base).differences())
    assert len(found) == len({one.path for one in found})
    return {one.path: one for one in found}


def no_directories(root: Path) -> dict[bytes, tuple[object, ...]]:
    return {
        path: facts
        for path, facts in everything(root).items()
        if facts[0][0] != stat.S_IFDIR  # type: ignore[index]  # kind, mode, owners, time
    }


@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(work, work, work)
def test_two_layers_differ_from_their_base_as_the_mounts_do(
    before: list[Step], first: list[Step], second: list[Step]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        lower = worked_on(top / "lower", before)
        with mounted(top / "empty", (lower,)) as below:
            was = no_directories(below.merged)
        with mounted(top / "one", (lower,)) as overlay:
            for step in first:
                do(overlay.merged, step)
            own = overlay.upper
        with mounted(top / "two", (own, lower)) as overlay:
            for step in second:
                do(overlay.merged, step)
            now = no_directories(overlay.merged)
            found = told(overlay.upper, (own,), (lower,))
    assert {p for p, one in found.items() if one.now and not one.before} == now.keys() - was.keys()
    gone = {p for p, one in found.items() if not one.now}
    assert {p for p in gone if p in was} == was.keys() - now.keys()
    changed = {p for p, one in found.items() if one.now and one.before}
    assert {p for p in was.keys() & now.keys() if was[p][:3] != now[p][:3]} <= changed
    assert changed <= now.keys()
    for path, one in found.items():
        if one.now and one.kind is Kind.FILE:
            assert len(now[path][1]) == one.size  # type: ignore[arg-type]  # a file's content


def test_a_directory_made_where_a_layer_below_has_a_deletion_hides_what_the_base_has(
    tmp_path: Path,
) -> None:
    lower = tmp_path / "lower"
    (lower / "a" / "a").mkdir(parents=True)
    (lower / "a" / "a" / "lost").touch()
    with mounted(tmp_path / "one", (lower,)) as overlay:
        shutil.rmtree(overlay.merged / "a" / "a")
        own = overlay.upper
    with mounted(tmp_path / "two", (own, lower)) as overlay:
        (overlay.merged / "a" / "a").mkdir()
        (overlay.merged / "a" / "a" / "new").touch()
        found = told(overlay.upper, (own,), (lower,))
    assert {path: one.now for path, one in found.items()} == {b"a/a/lost": False, b"a/a/new": True}


def test_what_is_seen_and_what_is_there_tell_how_much_is_shadowed(tmp_path: Path) -> None:
    upper, own = tmp_path / "upper", tmp_path / "own"
    for root, size in ((upper, 10), (own, 300)):
        (root / "d").mkdir(parents=True)
        (root / "d" / "same").write_bytes(b"x" * size)
    (own / "d" / "kept").write_bytes(b"y" * 50)
    stack = Stack(upper, (own,), ())
    assert {one.path for one in stack.differences()} == {b"d/same", b"d/kept"}
    assert (stack.totals.size, stack.totals.seen) == (360, 60)


def test_each_directory_is_visited_with_what_can_be_read_in_it(tmp_path: Path) -> None:
    upper, own, base = (tmp_path / name for name in ("upper", "own", "base"))
    for root, text in ((upper, "upper"), (own, "own"), (base, "base")):
        (root / "d").mkdir(parents=True)
        (root / "d" / f"in-{text}").write_text(text)
    (upper / "d" / "link").symlink_to("/etc/passwd")
    (upper / "d" / "in-own").write_text("newer")
    read: dict[bytes, bytes | None] = {}

    def visit(folder: Folder) -> None:
        if folder.path == b"d":
            assert folder.base
            read.update({name: folder.read(name, 3) for name in folder.names})

    list(Stack(upper, (own,), (base,), visit=visit).differences())
    assert read == {b"in-upper": b"upp", b"in-own": b"new", b"link": None}


def test_more_entries_than_allowed_are_refused(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / str(number)).touch()
    with pytest.raises(LimitError, match="10 entries"):
        list(Stack(tmp_path, (), (), limits=Limits(entries=10)).differences())
