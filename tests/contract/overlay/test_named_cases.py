"""Named cases of layers from overlays: those that container runtimes publish, and what we found."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from atoll.oci.layout import LayoutStore
from atoll.oci.overlay import OverlaySource
from atoll.oci.source import Kind
from atoll.oci.unpack import unpack

from tests.contract.overlay.images import append, base_image, taken
from tests.contract.overlay.mounts import differences, mounted, umoci_unpack


class Case(NamedTuple):
    image: str  # what makes the image, in the shell
    container: str  # what the container does
    layer: str  # what the layer must hold: + added or replaced, - deleted, o opaque, = a hard link


CASES = {
    "nothing": Case("mkdir d; echo 1 >d/f", "true", ""),
    "a new file": Case("mkdir d", "echo 1 >d/f", "+d +d/f"),
    "a file deleted": Case("mkdir d; echo 1 >d/f", "rm d/f", "+d -d/f"),
    "a file deleted and made again": Case("mkdir d; echo 1 >d/f", "rm d/f; echo 2 >d/f", "+d +d/f"),
    "a new file deleted again": Case("mkdir d; echo 1 >d/f", "echo 2 >d/g; rm d/g", "+d"),
    "a directory tree deleted": Case("mkdir -p a/b/c; echo 1 >a/f; echo 2 >a/b/f", "rm -r a", "-a"),
    "a directory deleted, its longer namesake kept": Case(
        "mkdir -p a/b a-b a.b; touch a/b/f a-b/f a.b/f", "rm -r a", "-a"
    ),
    "a directory emptied": Case("mkdir a; touch a/f a/g", "rm a/f a/g", "+a -a/f -a/g"),
    "a directory deleted and made again": Case(
        "mkdir -p a/b; echo 1 >a/f; echo 2 >a/b/g",
        "rm -r a; mkdir a; echo 3 >a/new",
        "+a oa +a/new",
    ),
    "a directory made again with what it had": Case(
        "mkdir -p a/b; echo 1 >a/b/f", "rm -r a; mkdir -p a/b; echo 1 >a/b/f", "+a oa +a/b +a/b/f"
    ),
    "a file replaces a directory": Case("mkdir -p a/b; touch a/b/f", "rm -r a; echo 1 >a", "+a"),
    "a directory replaces a file": Case("echo 1 >a", "rm a; mkdir a; echo 2 >a/f", "+a oa +a/f"),
    "a symlink replaces a directory": Case("mkdir a; touch a/f", "rm -r a; ln -s b a", "+a"),
    "a directory replaces a symlink": Case(
        "mkdir b; echo 1 >b/f; ln -s b a", "rm a; mkdir a; echo 2 >a/f", "+a oa +a/f"
    ),
    "a symlink given another target": Case("ln -s b a", "ln -sfn c a", "+a"),
    "only a mode changed": Case("mkdir -p a/b; touch a/b/f", "chmod 711 a/b", "+a +a/b"),
    "only an owner changed": Case("mkdir a; touch a/f", "chown 5:6 a/f", "+a +a/f"),
    "only a time changed": Case("mkdir a; echo 1 >a/f", "touch -d @5.000000007 a/f", "+a +a/f"),
    "the same size and time, another content": Case(
        "echo 1 >f; touch -d @9 f", "echo 2 >f; touch -d @9 f", "+f"
    ),
    "a file renamed": Case("mkdir a; echo 1 >a/f", "mv a/f a/g", "+a +a/g -a/f"),
    "a directory of the image renamed": Case(
        "mkdir -p a/b; echo 1 >a/b/f", "mv a c", "-a +c +c/b +c/b/f"
    ),
    "a new directory renamed over a deleted one": Case(
        "mkdir a; echo 1 >a/f", "mkdir n; echo 2 >n/g; rm -r a; mv n a", "+a oa +a/g"
    ),
    "a file of the image linked": Case("echo 1 >f", "ln f g", "+f =g"),
    "one of two names in the image written to": Case("echo 1 >f; ln f g", "echo 2 >>f", "+f"),
    "one of two names in the image deleted": Case("echo 1 >f; ln f g", "rm f", "-f"),
    "new names of a new file over directories": Case(
        "mkdir a b", "echo 1 >a/f; ln a/f b/f; ln a/f a/e", "+a +b +a/e =a/f =b/f"
    ),
    "a name renamed over another name of its file": Case(
        "mkdir a", "echo 1 >a/f; ln a/f a/g; echo 2 >a/h; mv a/h a/f", "+a +a/f +a/g"
    ),
    "a pipe hides what it replaced": Case("mkdir a; echo 1 >a/f", "rm a/f; mkfifo a/f", "+a -a/f"),
    "a device hides what it replaced": Case("echo 1 >f", "rm f; mknod f c 1 3", "-f"),
    "a pipe where nothing was": Case("mkdir a", "mkfifo a/p", "+a"),
    "a name that looks like a deletion": Case("mkdir a; touch a/f", "touch a/.wh.f", "+a"),
    "a name that looks like an opaque mark": Case(
        "mkdir a; touch a/f", "touch a/.wh..wh..opq", "+a"
    ),
    "names with spaces, newlines and escapes": Case(
        "mkdir a",
        "touch 'a/ x ' \"$(printf 'a/n\\nl')\" \"$(printf 'a/\\033[31m')\"",
        "+a",
    ),
}
_SIGNS = {Kind.WHITEOUT: "-", Kind.OPAQUE: "o", Kind.HARDLINK: "="}


def shell(script: str, place: Path) -> None:
    subprocess.run(["sh", "-euc", script], cwd=place, check=True)


@pytest.mark.parametrize("name", CASES)
def test_the_layer_holds_exactly_what_the_container_did(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    lower = tmp_path / "lower"
    lower.mkdir()
    shell(case.image, lower)
    store = LayoutStore(tmp_path / "store")
    base = base_image(store, lower)
    with mounted(tmp_path / "run", (lower,)) as overlay:
        shell(case.container, overlay.merged)
        entries = taken(OverlaySource(overlay.upper, (lower,))).values()
        found = {_SIGNS.get(e.kind, "+") + e.path.decode() for e in entries}
        if not name.startswith("names"):
            assert found == set(case.layer.split())
        image = append(store, base, OverlaySource(overlay.upper, (lower,)), "ck")
        unpack(store, image.digest, tmp_path / "ours", owner=True, setuid=True)
        hidden = {b"a/.wh.f", b"a/.wh..wh..opq"}
        assert differences(overlay.merged, tmp_path / "ours").keys() <= hidden
        theirs = umoci_unpack(store, image, tmp_path)
        assert differences(overlay.merged, theirs).keys() <= hidden
