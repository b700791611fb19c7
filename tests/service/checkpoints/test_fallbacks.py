"""Where an environment cannot be restored, the next best one is, and the user is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from atoll import oci
from atoll.checkpoints import client, store
from atoll.checkpoints.models import StartRequest, Trigger
from atoll.checkpoints.service import Checkpoints
from atoll.checkpoints.store import CheckpointRow
from atoll.kit.errors import ConflictError
from atoll.kit.home import Home

from .platform import Atoll, wheel


def damage(checkpoints: Checkpoints, digest: str | None) -> None:
    """Make the environment's top layer unreadable."""
    image = oci.load_image(checkpoints.ground.images, str(digest))
    layer = image.manifest.layers[-1].digest.removeprefix("sha256:")
    blob = checkpoints.ground.images.path / "blobs" / "sha256" / layer
    blob.write_bytes(b"\0" * blob.stat().st_size)


def test_a_damaged_environment_falls_back_to_the_one_before_and_says_so(
    atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path, version="1.0")))
    atoll.save()
    server.run("pip", "install", str(wheel(tmp_path, version="2.0")))
    newest = atoll.stop(server).environment
    atoll.stop(atoll.start(environment="base"))
    damage(checkpoints, newest)

    back = atoll.start(environment=str(newest))

    assert back.preparation.fallback is not None
    assert "the checkpoint of" in back.preparation.fallback
    assert back.run("seashell").stdout.split()[0] == "1.0"


def test_a_rebase_that_nobody_went_over_to_is_not_the_one_before(
    atoll: Atoll, checkpoints: Checkpoints
) -> None:
    server = atoll.start()
    (server.env / "n").write_text("first")
    first = atoll.save()
    (server.env / "n").write_text("second")
    rebase = atoll.save()
    (server.env / "n").write_text("third")
    newest = atoll.stop(server).environment
    atoll.stop(atoll.start(environment="base"))
    damage(checkpoints, newest)
    with checkpoints.ground.database.write() as session:
        session.get_one(CheckpointRow, rebase.id).trigger = Trigger.REBASE
        [made] = store.with_digest(session, str(newest))
        made.parent = first.digest

    assert atoll.prepare(environment=str(newest)).environment == first.digest


def test_where_nothing_saved_can_be_restored_it_is_the_base(
    atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    only = atoll.stop(server).environment
    atoll.stop(atoll.start(environment="base"))
    damage(checkpoints, only)

    back = atoll.start(environment=str(only))

    assert back.preparation.fallback is not None
    assert "the base" in back.preparation.fallback
    assert back.preparation.environment == checkpoints.ground.base


def test_a_lost_directory_is_restored_from_its_checkpoint(
    atoll: Atoll, home: Home, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    atoll.stop(server)
    shutil.rmtree(home.environments)

    assert atoll.start().run("seashell").stdout.split()[0] == "1.0"


def test_a_lost_index_loses_nothing(atoll: Atoll, tmp_path: Path) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    atoll.stop(server)
    (server.env.parent / "index").write_bytes(b"damaged")

    again = atoll.start()
    (again.env / "more").write_text("more")
    saved = atoll.stop(again)

    atoll.stop(atoll.start(environment="base"))
    back = atoll.start(environment=str(saved.environment))
    assert back.run("seashell").stdout.split()[0] == "1.0"
    assert (back.env / "more").read_text() == "more"


def test_an_environment_of_another_base_is_restored_with_a_warning(
    atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    store = checkpoints.ground.images
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    saved = atoll.save()
    layer = oci.load_image(store, str(saved.digest))
    created = checkpoints.ground.clock()
    other = oci.create_base(
        store, "base-other", created=created, labels={"dev.atoll.base": "another platform"}
    )
    described = oci.LayerResult(layer.manifest.layers[-1], layer.config.diff_ids[-1], 1, 1, (), ())
    moved = oci.append_layer(store, other.digest, described, name=saved.id, created=created)
    with checkpoints.ground.database.write() as session:
        session.get_one(CheckpointRow, saved.id).digest = moved.digest
    atoll.stop(server)

    back = atoll.start(environment=moved.digest)

    assert back.preparation.fallback is not None
    assert "another version of the platform" in back.preparation.fallback
    assert back.run("seashell").returncode == 0


def test_a_digest_that_is_not_the_users_is_refused(atoll: Atoll, tmp_path: Path) -> None:
    server = atoll.start(user="bob")
    server.run("pip", "install", str(wheel(tmp_path)))
    bobs = atoll.stop(server, user="bob").environment

    with pytest.raises(ConflictError, match="no such saved environment"):
        atoll.send(client.start("ada", "", StartRequest(environment=str(bobs))), "hub")
