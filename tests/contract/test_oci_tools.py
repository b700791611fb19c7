"""Our images are read by tools that are not ours, and they see exactly what we saved."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from atoll.oci.directory import DirectorySource
from atoll.oci.image import Compression, Descriptor
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.publish import append_layer, create_base, export
from atoll.oci.unpack import unpack
from hypothesis import HealthCheck, given, settings

from tests.exploring import examples
from tests.unit.oci.trees import NOW, Step, differences, do, rounds

pytestmark = pytest.mark.skipif(
    not (shutil.which("umoci") and shutil.which("skopeo")), reason="umoci or skopeo is missing"
)


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def save_rounds(root: Path, store: LayoutStore, work: list[list[Step]]) -> Descriptor:
    """Does the work round by round and saves what changed after each: base + one layer a round."""
    image = create_base(store, "base", labels={"dev.atoll.base": "test"}, created=NOW)
    index = None
    for number, steps in enumerate(work):
        for step in steps:
            do(root, step)
        source = DirectorySource(root, since=index, owner=(0, 0))
        layer = write_layer(source, store)
        assert not layer.torn
        image = append_layer(store, image.digest, layer, name=f"ck-{number}", created=NOW)
        index = source.index(image=image.digest)
    return image


def umoci_unpack(store: LayoutStore, name: str, bundle: Path) -> Path:
    run("umoci", "unpack", "--rootless", "--image", f"{store.path}:{name}", bundle)
    return bundle / "rootfs"


@settings(max_examples=examples(20), deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds)
def test_umoci_restores_what_random_work_left_after_incremental_saves(
    work: list[list[Step]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        root = top / "root"
        root.mkdir()
        store = LayoutStore(top / "store")
        image = save_rounds(root, store, work)
        plain = LayoutStore(top / "plain")  # this umoci knows no zstd
        export(store, image.digest, plain, name="x", compression=Compression.GZIP)
        restored = umoci_unpack(plain, "x", top / "bundle")
        assert differences(root, restored) == {}


def test_skopeo_inspects_the_image_with_its_labels_and_layers(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    store = LayoutStore(tmp_path / "store")
    work = [[Step("write", (0, 0), (0, 0), 5)], [Step("mkdir", (0, 1), (0, 0), 0)]]
    image = save_rounds(root, store, work)
    seen = json.loads(run("skopeo", "inspect", f"oci:{store.path}:ck-1"))
    assert seen["Digest"] == image.digest
    assert seen["Labels"] == {"dev.atoll.base": "test"}
    assert len(seen["Layers"]) == 3
    raw = run("skopeo", "inspect", "--raw", f"oci:{store.path}:ck-1")
    assert json.loads(raw)["layers"][0]["mediaType"].endswith("tar+zstd")


def test_skopeo_copies_the_image_to_an_archive_and_back_and_we_restore_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    store = LayoutStore(tmp_path / "store")
    image = save_rounds(root, store, [[Step("write", (0, n), (0, 0), 77) for n in range(9)]])
    archive = tmp_path / "image.tar"
    run("skopeo", "copy", f"oci:{store.path}:ck-0", f"oci-archive:{archive}:there")
    run("skopeo", "copy", f"oci-archive:{archive}:there", f"oci:{tmp_path / 'back'}:again")
    back = LayoutStore(tmp_path / "back")
    assert [found.digest for found in back.images()] == [image.digest]
    unpack(back, image.digest, tmp_path / "restored")
    assert differences(root, tmp_path / "restored") == {}


def whole_seconds(tree: Path) -> None:
    """umoci writes no fractions into its layers."""
    for path in tree.rglob("*"):
        second = path.lstat().st_mtime_ns // 1_000_000_000
        os.utime(path, (second, second), follow_symlinks=False)


def test_an_image_that_umoci_made_is_restored_by_us(tmp_path: Path) -> None:
    layout = tmp_path / "theirs"
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:one")
    bundle = tmp_path / "bundle"
    rootfs = umoci_unpack(LayoutStore(layout), "one", bundle)
    (rootfs / "dir").mkdir()
    (rootfs / "dir" / "file").write_text("first")
    os.link(rootfs / "dir" / "file", rootfs / "second name")
    whole_seconds(rootfs)
    run("umoci", "repack", "--image", f"{layout}:two", bundle)
    (rootfs / "dir" / "file").unlink()
    (rootfs / "link").symlink_to("dir")
    whole_seconds(rootfs)
    run("umoci", "repack", "--refresh-bundle", "--image", f"{layout}:three", bundle)
    (rootfs / "late").write_text("late")
    whole_seconds(rootfs)
    run("umoci", "repack", "--image", f"{layout}:three", bundle)
    store = LayoutStore(layout)
    image = next(found for found in store.images() if found.name == "three")
    unpack(store, image.digest, tmp_path / "restored")
    assert differences(rootfs, tmp_path / "restored", attributes=False) == {}
