"""Restoring an image: exact, all or nothing, and clean after a kill at any moment."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from atoll.oci.changes import changes
from atoll.oci.directory import DirectorySource
from atoll.oci.errors import CancelledError, MissingError
from atoll.oci.index import Index
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.publish import append_layer, create_base
from atoll.oci.store import load_image
from atoll.oci.unpack import unpack

from tests.unit.oci.trees import NOW, archive, debris, differences, image_of, member, paths

ROOT = Path(__file__).parents[3]


def directory(name: str, mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, tarfile.DIRTYPE, mode=mode)


def file(name: str, content: str = "x") -> tuple[tarfile.TarInfo, bytes]:
    return member(name, content=content.encode())


WHITEOUTS = {
    "a file is gone": (
        [[file("a"), file("b")], [file(".wh.a")]],
        {"b"},
    ),
    "a directory is gone with all in it": (
        [[file("d/e/f"), file("g")], [file(".wh.d")]],
        {"g"},
    ),
    "a whiteout of nothing is nothing": (
        [[file("a")], [file(".wh.b")]],
        {"a"},
    ),
    "a whiteout in a directory that is not there makes none": (
        [[file("a")], [file("d/.wh.b")]],
        {"a"},
    ),
    "a whiteout does not hide what its own layer has, before or after it": (
        [[file("a"), file("b")], [file(".wh.a"), file("a"), file("b"), file(".wh.b")]],
        {"a", "b"},
    ),
    "an opaque directory hides what is below, at any depth, but not its own": (
        [
            [file("d/old"), file("d/e/old"), file("keep")],
            [directory("d"), file("d/new"), file("d/.wh..wh..opq"), file("d/e/new")],
        ],
        {"d", "d/new", "d/e", "d/e/new", "keep"},
    ),
    "an opaque mark before its directory's entries is the same": (
        [
            [file("d/old"), file("keep")],
            [file("d/.wh..wh..opq"), directory("d"), file("d/new")],
        ],
        {"d", "d/new", "keep"},
    ),
    "an opaque root hides everything below": (
        [[file("a"), file("d/b")], [file(".wh..wh..opq"), file("c")]],
        {"c"},
    ),
    "a file replaces a directory": (
        [[file("d/e/f")], [file("d")]],
        {"d"},
    ),
    "a directory replaces a file": (
        [[file("d")], [directory("d"), file("d/f")]],
        {"d", "d/f"},
    ),
    "a symlink replaces a directory": (
        [[file("d/e/f")], [member("d", tarfile.SYMTYPE, link="elsewhere")]],
        {"d"},
    ),
    "a removed directory comes back empty": (
        [[file("d/old")], [file(".wh.d")], [directory("d")]],
        {"d"},
    ),
    "a directory named again keeps what is in it": (
        [[file("d/old")], [directory("d", mode=0o700)]],
        {"d", "d/old"},
    ),
    "a path may begin with a dot and a slash": (
        [[directory("./"), file("./a"), file("./d//b")]],
        {"a", "d", "d/b"},
    ),
}


@pytest.mark.parametrize(("layers", "expected"), WHITEOUTS.values(), ids=WHITEOUTS)
def test_layers_on_top_of_each_other(
    store: LayoutStore,
    final: Path,
    layers: list[list[tuple[tarfile.TarInfo, bytes]]],
    expected: set[str],
) -> None:
    image = image_of(store, *(archive(members) for members in layers))
    unpack(store, image.digest, final)
    assert paths(final) == expected


def test_a_hard_link_to_a_file_of_a_lower_layer_is_one_file(
    store: LayoutStore, final: Path
) -> None:
    upper = archive([member("d/name", tarfile.LNKTYPE, link="file")])
    unpack(store, image_of(store, archive([file("file")]), upper).digest, final)
    assert (final / "file").samefile(final / "d" / "name")


def test_replacing_one_name_of_a_hard_link_leaves_the_others(
    store: LayoutStore, final: Path
) -> None:
    lower = archive([file("a", "old"), member("b", tarfile.LNKTYPE, link="a")])
    unpack(store, image_of(store, lower, archive([file("a", "new")])).digest, final)
    assert ((final / "a").read_text(), (final / "b").read_text()) == ("new", "old")


def test_read_only_directories_are_filled_and_end_read_only(
    store: LayoutStore, final: Path
) -> None:
    members = [directory("locked", 0o500), file("locked/file"), directory("closed", 0)]
    unpack(store, image_of(store, archive(members)).digest, final)
    assert (final / "locked" / "file").exists()
    assert (final / "locked").stat().st_mode & 0o777 == 0o500
    assert (final / "closed").stat().st_mode & 0o777 == 0
    unpack(store, image_of(store, archive([file("after")]), name="next").digest, final)
    assert paths(final) == {"after"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_restores_what_belongs_to_others(
    store: LayoutStore, tmp_path: Path
) -> None:
    member_of_root = file("d/file")
    member_of_root[0].uid = 0
    locked = [directory("d", 0o500), member_of_root, directory("d/closed", 0)]
    image = image_of(store, archive(locked), archive([file("d/.wh.file"), file("d/new")]))
    home = tmp_path / "home"
    home.mkdir()
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from atoll.oci.layout import LayoutStore\n"
        "from atoll.oci.unpack import unpack, clean\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "store, digest, home = LayoutStore(Path(sys.argv[1])), sys.argv[2], Path(sys.argv[3])\n"
        "for _ in range(2): unpack(store, digest, home / 'final')\n"
        "clean(home); print(sorted(p.name for p in home.iterdir()), (home / 'final').stat().st_uid)\n"
    )
    for path in (home, store.path, *store.path.rglob("*")):
        os.chown(path, 65534, 65534)
    for path in (tmp_path, *list(tmp_path.parents)[:-2]):
        path.chmod(path.stat().st_mode | 0o011)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "extensions")}
    done = subprocess.run(
        [sys.executable, "-c", script, str(store.path), image.digest, str(home)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("['final'] 65534", "")
    assert {path.name for path in (home / "final" / "d").iterdir()} == {"closed", "new"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owners_are_restored_only_when_asked_for(store: LayoutStore, final: Path) -> None:
    info, content = file("file")
    info.uid, info.gid = 1234, 5678
    image = image_of(store, archive([(info, content)]))
    unpack(store, image.digest, final)
    assert (final / "file").stat().st_uid == 0
    unpack(store, image.digest, final, owner=True)
    assert ((final / "file").stat().st_uid, (final / "file").stat().st_gid) == (1234, 5678)


def test_what_was_there_is_replaced_as_a_whole(store: LayoutStore, final: Path) -> None:
    final.mkdir()
    (final / "old").write_text("x")
    unpack(store, image_of(store, archive([file("new")])).digest, final)
    assert paths(final) == {"new"}
    assert debris(final.parent) == []


def test_what_is_open_in_the_old_directory_stays_readable(store: LayoutStore, final: Path) -> None:
    final.mkdir()
    (final / "old").write_text("still here")
    with (final / "old").open() as old:
        unpack(store, image_of(store, archive([file("new")])).digest, final)
        assert old.read() == "still here"


def test_the_hook_sees_the_complete_tree_and_its_work_is_in_the_index(
    store: LayoutStore, final: Path
) -> None:
    seen = []

    def finish(temporary: Path, target: Path) -> None:
        seen.append((paths(temporary), target, target.exists()))
        (temporary / "made").write_text("by the hook")

    result = unpack(store, image_of(store, archive([file("a")])).digest, final, finish=finish)
    assert seen == [({"a"}, final, False)]
    assert set(result.index.children(b"")) == {b"a", b"made"}
    assert changes(final, since=result.index).files == 0


def test_a_hook_that_fails_leaves_everything_as_it_was(store: LayoutStore, final: Path) -> None:
    final.mkdir()
    (final / "old").write_text("x")

    def finish(temporary: Path, target: Path) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        unpack(store, image_of(store, archive([file("a")])).digest, final, finish=finish)
    assert paths(final) == {"old"}
    assert debris(final.parent) == []


def test_progress_ends_at_the_size_of_the_image(store: LayoutStore, final: Path) -> None:
    noise = os.urandom(2_000_000).hex()
    image = image_of(store, archive([file("a", noise)]), archive([file("b", noise[::-1])]))
    told: list[int] = []
    unpack(store, image.digest, final, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == load_image(store, image.digest).size


def test_a_cancelled_restore_leaves_everything_as_it_was(store: LayoutStore, final: Path) -> None:
    image = image_of(store, archive([file("a"), file("b")]))
    with pytest.raises(CancelledError):
        unpack(store, image.digest, final, cancelled=lambda: True)
    assert list(final.parent.iterdir()) == []


def test_an_image_with_a_missing_layer_leaves_everything_as_it_was(
    store: LayoutStore, final: Path
) -> None:
    image = image_of(store, archive([file("a")]))
    layer = load_image(store, image.digest).manifest.layers[0]
    (store.path / "blobs" / "sha256" / layer.digest.removeprefix("sha256:")).unlink()
    with pytest.raises(MissingError):
        unpack(store, image.digest, final)
    assert list(final.parent.iterdir()) == []


def test_twenty_rounds_of_change_save_and_restore_stay_exact(
    store: LayoutStore, final: Path
) -> None:
    final.mkdir()
    image = create_base(store, "base", labels={}, created=NOW)
    index: Index | None = None
    before = None
    for number in range(20):
        (final / f"dir{number % 5}").mkdir(exist_ok=True)
        (final / f"dir{number % 5}" / f"{number}").write_text(f"{number}" * 100)
        if number > 3:
            (final / f"dir{(number - 3) % 5}" / f"{number - 3}").unlink()
        source = DirectorySource(final, since=index)
        layer = write_layer(source, store)
        image = append_layer(store, image.digest, layer, name=f"ck-{number}", created=NOW)
        before = final.with_name(f"before{number}")
        final.rename(before)
        index = unpack(store, image.digest, final).index
        assert differences(before, final) == {}
    assert len(load_image(store, image.digest).manifest.layers) == 21
