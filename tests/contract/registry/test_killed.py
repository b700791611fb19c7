"""A push that is killed at any moment leaves no half image, and the next one succeeds."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from atoll.oci.registry import RegistryStore
from atoll.oci.store import load_image
from atoll.oci.unpack import unpack

from .faults import Faults, Passing
from .servers import Running
from .trees import MIB, contents, saved, tree

PUSHER = Path(__file__).with_name("pusher.py")

MOMENTS = {
    "before the upload begins": ("POST", "uploads", 2, False),
    "in the first piece": ("PATCH", "uploads", 0, False),
    "after the first piece": ("PATCH", "uploads", 0, True),
    "before the layer is complete": ("PUT", "uploads", 2, False),
    "after the layer is complete": ("PUT", "uploads", 2, True),
    "before the image": ("PUT", "manifests", 1, False),
    "after the image and its tag": ("PUT", "manifests", 1, True),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_push_leaves_no_half_image(
    registry: Running, faults: Faults, repository: str, tmp_path: Path, moment: str
) -> None:
    method, path, skip, done = MOMENTS[moment]
    root = tree(tmp_path / "root", size=3 * MIB, seed=list(MOMENTS).index(moment) + 10)
    there = threading.Event()
    dead = threading.Event()

    def kill_here(passing: Passing) -> None:
        if done:
            passing.passed_on().read()
        elif passing.length:
            passing.rfile.read(passing.length // 2)  # on its way, as far as the client knows
        there.set()
        dead.wait(20)
        passing.reset()

    faults.on(method, path, kill_here, skip=skip)
    command = [sys.executable, str(PUSHER), faults.address, repository, str(root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert there.wait(20), "the push never came to this moment"
    finally:
        process.kill()
        process.communicate()
        dead.set()
    with RegistryStore(registry.reached(), repository) as store:
        seen = registry.images(repository)
        for digest in seen:  # the base, and our image once it is published: whole
            load_image(store, digest)
        assert len(seen) == (2 if moment == "after the image and its tag" else 1)
        image, _ = saved(store, root, "v1")
        assert store.resolve("v1").digest == image.digest
        unpack(store, image.digest, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(root)
