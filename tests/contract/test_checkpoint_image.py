"""A checkpoint that the platform made is an image to tools that are not ours."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from atoll.checkpoints.service import Checkpoints
from atoll.kit.home import Home
from atoll.oci import Compression, LayoutStore, export

from tests.service.checkpoints.conftest import *  # noqa: F403  # its fixtures are ours here
from tests.service.checkpoints.platform import Atoll, wheel


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_skopeo_inspects_a_checkpoint_and_umoci_unpacks_what_the_user_had(
    atoll: Atoll, checkpoints: Checkpoints, home: Home, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", "--no-index", str(wheel(tmp_path, "starfish")))
    atoll.save()
    server.run("pip", "install", "--no-index", str(wheel(tmp_path)))
    server.run("pip", "uninstall", "--yes", "starfish")
    (server.env / "notes").write_text("mine")
    saved = atoll.save()
    assert saved.digest is not None

    seen = json.loads(run("skopeo", "inspect", f"oci:{home.images}:{saved.id}"))
    assert seen["Digest"] == saved.digest
    assert seen["Labels"]["dev.atoll.base"] == checkpoints.ground.platform.label
    assert not any("TOKEN" in line for line in seen["Env"] or [])

    plain = LayoutStore(tmp_path / "plain")  # umoci knows no zstd
    export(checkpoints.ground.images, saved.digest, plain, name="x", compression=Compression.GZIP)
    run("umoci", "unpack", "--rootless", "--image", f"{plain.path}:x", tmp_path / "bundle")
    rootfs = tmp_path / "bundle" / "rootfs"
    theirs = {path.relative_to(rootfs) for path in rootfs.rglob("*") if not path.is_dir()}
    ours = {path.relative_to(server.env) for path in server.env.rglob("*") if not path.is_dir()}
    made_anew = {path for path in ours - theirs if not path.name.endswith(".pyc")}
    assert theirs <= ours
    assert {path.parts[0] for path in made_anew} <= {
        "bin",
        "lib",
        "lib64",
        "pyvenv.cfg",
        ".gitignore",
        ".lock",
    }
    assert (rootfs / "notes").read_text() == "mine"
    assert list(rootfs.rglob("seashell/__init__.py"))
    assert not list(rootfs.rglob("starfish*"))
