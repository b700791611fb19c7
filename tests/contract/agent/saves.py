"""Saving a container as the agent does, and what is in the image then."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atoll import oci
from atoll.agent.commit import Saved, commit
from atoll.agent.runtimes.containerd import Containerd

FOREVER = "while :; do sleep 1000; done"


def save(
    runtime: Containerd, identity: str, store: oci.Store, state: Path, **more: object
) -> Saved:
    return commit(runtime, identity, store, "saved", state=state, **more)  # type: ignore[arg-type]


def paths(store: oci.LayoutStore, saved: Saved) -> dict[str, oci.Kind]:
    """What the new layers hold."""
    found: dict[str, oci.Kind] = {}
    for layer in saved.copied.layers:
        with oci.open_layer(store, layer.descriptor, layer.diff_id) as reader:
            found |= {oci.shown(entry.path): entry.kind for entry in reader}
    return found


def everything(store: oci.LayoutStore, digest: str) -> bytes:
    """The manifest, the config and all layers of an image, unpacked."""
    image = oci.load_image(store, digest)
    found = [image.manifest_content, image.config_content]
    for layer, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=True):
        with oci.open_layer(store, layer, diff_id) as reader:
            found += [part for entry in reader for part in (entry.path, reader.read())]
    return b"\n".join(found)


@contextmanager
def merged(runtime: Containerd, identity: str, point: Path) -> Iterator[Path]:
    """The container's root as it sees it, without what is mounted over it."""
    found = runtime.find(identity)
    point.mkdir()
    layers = ":".join(map(str, (found.upper, *found.lowers)))
    mount = ["mount", "-t", "overlay", "overlay", "-o", f"ro,lowerdir={layers}", str(point)]
    subprocess.run(mount, check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True)


def is_the_base_changed(store: oci.LayoutStore, saved: Saved, root: Path, token: str) -> None:
    """The image of a container that changed `etc/motd`, removed `srv/old` and made `srv/new`; unpacks it.

    Its config is the base's, and the `token` of the container's environment is not in it.
    """
    image = oci.load_image(store, saved.image.digest)
    assert token.encode() not in image.config_content + image.manifest_content
    assert b"ORIGIN=base" in image.config_content
    oci.unpack(store, saved.image.digest, root)  # verifies every layer against its diff_id
    assert (root / "etc" / "motd").read_text() == "changed\n"
    assert (root / "srv" / "new").read_text() == "new\n"
    assert not (root / "srv" / "old").exists()
    assert sorted(path.name for path in (root / "etc").iterdir()) == ["motd"]
