"""What a container's user may try on whoever saves it: nothing outside is read, nothing hangs."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from atoll import oci
from atoll.oci import native
from atoll.oci.attributes import NOBODY, IdMaps
from atoll.oci.errors import LimitError, SourceError
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.overlay import OverlaySource
from atoll.oci.overlay_changes import overlay_changes, scan
from atoll.oci.reader import open_layer
from atoll.oci.source import Kind, Limits
from atoll.oci.stack import Folder, Stack

from tests.contract.overlay.images import taken
from tests.contract.overlay.mounts import CAPABILITY, acl, mounted

SECONDS = float(os.environ.get("ATOLL_ATTACK_SECONDS", "3")) / 2  # for each of the two ways
SECRET = b"the host's own secret"

_SWAPPER = """
import os, sys
os.chdir(sys.argv[1])
outside = sys.argv[2]
while True:
    os.rename("victim", "aside"); os.symlink(outside + "/secret", "victim")
    os.unlink("victim"); os.mkfifo("victim")
    os.unlink("victim"); os.mknod("victim", 0o600 | 0o020000, os.makedev(1, 5))
    os.unlink("victim"); os.rename("aside", "victim")
    os.rename("folder", "beside"); os.symlink(outside, "folder")
    os.unlink("folder"); os.rename("beside", "folder")
    with open("victim", "r+b") as f:
        f.truncate(0); f.write(b"mine" * 5000)
    os.symlink("x", "gone"); os.unlink("gone")
"""


@contextmanager
def swapping(place: Path, outside: Path) -> Iterator[None]:
    """A process that swaps a file and a directory for links, pipes and devices, until the end."""
    process = subprocess.Popen([sys.executable, "-c", _SWAPPER, place, outside])
    try:
        yield
        assert process.poll() is None, "the attack itself broke off"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=[native.library, lambda: None], ids=["packed", "by Python"])
def packing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain files are packed, as in real saves; without the library Python does it all."""
    assert native.library() is not None, "extensions/native/build makes it, with cargo"
    monkeypatch.setattr(native, "library", request.param)


@pytest.mark.usefixtures("packing")
def test_swapping_links_pipes_and_devices_at_full_speed_leads_nowhere(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / "store")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET)
    lower = tmp_path / "lower"
    lower.mkdir()
    with mounted(tmp_path / "run", (lower,)) as overlay:
        folder = overlay.merged / "place" / "folder"
        folder.mkdir(parents=True)
        (folder / "secret").write_bytes(b"mine")
        (folder.parent / "victim").write_bytes(b"mine" * 5000)
        with swapping(folder.parent, outside):
            end = time.monotonic() + SECONDS
            rounds, seen = 0, set()
            while time.monotonic() < end:
                rounds += 1
                layer = write_layer(OverlaySource(overlay.upper, (lower,)), store)
                with open_layer(store, layer.descriptor, layer.diff_id) as reader:
                    for entry in reader:
                        assert entry.size <= 20_000  # /dev/zero has no end
                        assert set(reader.read()) <= set(b"mine\0")
                        seen.add(entry.kind)
                for _ in Stack(overlay.upper, (), (lower,), visit=read_all).differences():
                    pass
                with suppress(SourceError):
                    overlay_changes(overlay.upper, (lower,))
                    scan(overlay.upper)
        assert rounds > 5
        assert Kind.FILE in seen


def read_all(folder: Folder) -> None:
    """As the report of what changed reads lists of packages."""
    for name in folder.names:
        assert SECRET not in (folder.read(name, 1 << 20) or b"")


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    upper = tmp_path / "upper"
    upper.mkdir()
    return upper


def test_a_pipe_and_a_socket_are_never_opened(upper: Path, tmp_path: Path) -> None:
    os.mkfifo(upper / "pipe")
    os.mknod(upper / "device", 0o600 | stat.S_IFBLK, os.makedev(7, 0))
    os.mknod(upper / "socket", 0o600 | stat.S_IFSOCK)
    layer = write_layer(OverlaySource(upper, ()), LayoutStore(tmp_path / "store"))
    assert layer.entries == 0
    assert {(item.path, item.reason) for item in layer.left_out} == {
        (b"pipe", "a pipe is not saved"),
        (b"device", "a device is not saved"),
        (b"socket", "a socket is not saved"),
    }


def test_a_deletion_made_by_hand_is_a_deletion(upper: Path) -> None:
    os.mknod(upper / "gone", 0o600 | stat.S_IFCHR, 0)
    assert taken(OverlaySource(upper, ()))[b"gone"].kind is Kind.WHITEOUT


@pytest.mark.parametrize("name", [".wh.f", ".wh..wh..opq", ".wh.", ".wh..wh.aufs"])
def test_names_that_would_be_instructions_are_left_out(name: str, upper: Path) -> None:
    (upper / name).write_text("x")
    source = OverlaySource(upper, ())
    assert taken(source) == {}
    assert [item.path for item in source.left_out()] == [os.fsencode(name)]


def test_an_opaque_mark_of_a_user_means_nothing_on_a_mount_of_root(tmp_path: Path) -> None:
    lower = tmp_path / "lower"
    (lower / "d").mkdir(parents=True)
    (lower / "d" / "f").write_text("1")
    with mounted(tmp_path / "run", (lower,)) as overlay:
        os.setxattr(overlay.merged / "d", "user.overlay.opaque", b"y")
        os.setxattr(overlay.merged / "d", "user.mine", b"kept")
        (overlay.merged / "d" / "f2").touch()
        os.setxattr(overlay.merged / "d" / "f2", "user.overlay.whiteout", b"")
        found = taken(OverlaySource(overlay.upper, (lower,)))
        assert {path: entry.kind for path, entry in found.items()} == {
            b"d": Kind.DIRECTORY,
            b"d/f2": Kind.FILE,
        }
        assert dict(found[b"d"].xattrs) == {b"user.mine": b"kept"}
        assert (overlay.merged / "d" / "f").exists()


@pytest.mark.parametrize(("userxattr", "prefix"), [(False, "trusted"), (True, "user")])
def test_marks_of_the_mount_s_own_kind_count(userxattr: bool, prefix: str, upper: Path) -> None:
    (upper / "opaque").mkdir()
    os.setxattr(upper / "opaque", f"{prefix}.overlay.opaque", b"y")
    (upper / "holed").mkdir()
    os.setxattr(upper / "holed", f"{prefix}.overlay.opaque", b"x")
    for directory in ("holed", "opaque"):
        (upper / directory / "gone").touch()
        os.setxattr(upper / directory / "gone", f"{prefix}.overlay.whiteout", b"")
    (upper / "holed" / "f").touch()
    found = taken(OverlaySource(upper, (), userxattr=userxattr))
    assert {path: entry.kind for path, entry in found.items()} == {
        b"holed": Kind.DIRECTORY,
        b"holed/gone": Kind.WHITEOUT,
        b"holed/f": Kind.FILE,
        b"opaque": Kind.DIRECTORY,
        b"opaque/": Kind.OPAQUE,
        b"opaque/gone": Kind.FILE,
    }
    assert not any(entry.xattrs for entry in found.values())


@pytest.mark.parametrize("mark", ["redirect", "metacopy"])
def test_what_only_overlayfs_can_follow_is_refused_by_name(mark: str, tmp_path: Path) -> None:
    lower = tmp_path / "lower"
    (lower / "place" / "d").mkdir(parents=True)
    (lower / "place" / "f").write_text("content")
    option = ",redirect_dir=on" + (",metacopy=on" if mark == "metacopy" else "")
    with mounted(tmp_path / "run", (lower,), options=option) as overlay:
        if mark == "redirect":
            (overlay.merged / "place" / "d").rename(overlay.merged / "place" / "e")
            with pytest.raises(SourceError, match="place/e"):
                scan(overlay.upper)
        else:
            (overlay.merged / "place" / "f").chmod(0o600)
        name = "e" if mark == "redirect" else "f"
        with pytest.raises(SourceError, match=f"place/{name}.*{mark}"):
            taken(OverlaySource(overlay.upper, (lower,)))


def test_a_second_name_outside_is_no_link_to_it(upper: Path, tmp_path: Path) -> None:
    (upper / "f").write_text("content")
    os.link(upper / "f", tmp_path / "outside")
    entry = taken(OverlaySource(upper, ()))[b"f"]
    assert (entry.kind, entry.size) == (Kind.FILE, 7)


def test_setuid_and_capabilities_go_by_policy_and_are_reported(upper: Path) -> None:
    (upper / "f").touch()
    os.setxattr(upper / "f", "security.capability", CAPABILITY)
    (upper / "f").chmod(0o6750)
    (upper / "d").mkdir()
    (upper / "d").chmod(0o2755)
    kept = taken(OverlaySource(upper, ()))
    assert (kept[b"f"].mode, dict(kept[b"f"].xattrs)) == (
        0o6750,
        {b"security.capability": CAPABILITY},
    )
    source = OverlaySource(upper, (), setuid=False)
    dropped = taken(source)
    assert (dropped[b"f"].mode, dict(dropped[b"f"].xattrs)) == (0o750, {})
    assert dropped[b"d"].mode == 0o2755
    assert len(source.left_out()) == 2


def test_owners_are_those_inside_the_container(upper: Path) -> None:
    capability = struct.pack("<IIIIII", 0x03000001, 1 << 10, 0, 0, 0, 100_000)
    for name, owner in (("root", 100_000), ("ada", 101_000), ("stranger", 0)):
        (upper / name).touch()
        os.chown(upper / name, owner, owner + 5 if owner else 0)
    os.setxattr(upper / "root", "security.capability", capability)
    os.setxattr(upper / "ada", "system.posix_acl_access", acl(101_000))
    source = OverlaySource(upper, (), ids=IdMaps([(0, 100_000, 65_536)], [(0, 100_005, 65_536)]))
    found = taken(source)
    assert {path: (entry.uid, entry.gid) for path, entry in found.items()} == {
        b"root": (0, 0),
        b"ada": (1000, 1000),
        b"stranger": (NOBODY, NOBODY),
    }
    assert found[b"root"].xattrs[b"security.capability"] == CAPABILITY
    assert found[b"ada"].xattrs[b"system.posix_acl_access"] == acl(1000)
    assert [item.path for item in source.left_out()] == [b"stranger"]


NAMES = ["a\n\x1b[31mred", "b\r\x07\x7f", "c\x9b2J", "d\u202egnp.exe", "e\u2028f", "g\udcff\udc9b"]
"""Newlines, escape sequences of one byte and of two, a bell, text backwards, and what is not UTF-8."""


@pytest.mark.usefixtures("packing")
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_for_terminals_are_kept_exactly_and_shown_as_escapes(
    name: str, upper: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (upper / name).mkdir()
    (upper / name / name).write_text("mine")
    (upper / name / "link").symlink_to(name)
    os.mkfifo(upper / f"pipe{name}")
    raw, store = os.fsencode(name), LayoutStore(tmp_path / "store")
    layer = write_layer(OverlaySource(upper, ()), store)
    with open_layer(store, layer.descriptor, layer.diff_id) as reader:
        found = {entry.path: entry.link or reader.read() for entry in reader}
    assert found == {raw: b"", raw + b"/" + raw: b"mine", raw + b"/link": raw}
    assert [item.path for item in layer.left_out] == [b"pipe" + raw]
    with pytest.raises(LimitError) as caught:
        write_layer(OverlaySource(upper, ()), store, limits=Limits(size=3))
    said = [oci.shown(path) for path in (*found, layer.left_out[0].path)]
    said += [layer.left_out[0].reason, str(caught.value), *caplog.messages]
    assert oci.shown(raw) in str(caught.value)
    assert all(text.isprintable() for text in said), said
    assert len(set(said[:4])) == 4, "different paths look different"
