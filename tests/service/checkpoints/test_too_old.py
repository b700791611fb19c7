"""Environments of an older platform: said while they start, refused with the way out afterwards."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from atoll.checkpoints.environments import Pending
from atoll.checkpoints.models import Checkpoint
from atoll.checkpoints.service import Checkpoints
from atoll.checkpoints.window import TooOldError
from atoll.kit.errors import ConflictError

from .platform import Atoll, eventually, wheel


def become(checkpoints: Checkpoints, version: str) -> None:
    """The platform is of this version from now on."""
    ground = checkpoints.ground
    packages = {**ground.platform.packages, "atoll": version}
    ground.platform = dataclasses.replace(ground.platform, packages=packages)
    ground.base = str(ground.platform.image(ground.images))


@pytest.fixture
def saved(atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path) -> Checkpoint:
    """Saved by a server of version 0.1, which has stopped."""
    become(checkpoints, "0.1.0")
    server = atoll.start()
    server.run("pip", "install", "--no-index", str(wheel(tmp_path)))
    atoll.stop(server)
    return atoll.checkpoints()[0]


def test_within_the_window_it_starts_and_its_age_is_said(
    atoll: Atoll, checkpoints: Checkpoints, saved: Checkpoint
) -> None:
    assert (saved.platform_version, saved.too_old) == ("0.1.0", None)
    become(checkpoints, "0.3.0")

    server = atoll.start()

    assert server.run("seashell").stdout.startswith("1.0")
    assert "version 0.1.0 of the platform" in str(server.preparation.fallback)
    assert "Rebase it" in str(server.preparation.fallback)


def test_beyond_it_a_start_is_refused_with_the_way_out_and_nothing_is_lost(
    atoll: Atoll, checkpoints: Checkpoints, saved: Checkpoint
) -> None:
    become(checkpoints, "0.6.0")

    for choice in ("last", str(saved.digest)):
        with pytest.raises(ConflictError) as caught:
            atoll.prepare(environment=choice)
        assert f"atoll checkpoints rebase {saved.id}" in str(caught.value.hint)
    assert "version 0.1.0" in str(atoll.checkpoints()[0].too_old)

    fresh = atoll.start(environment="base")
    assert fresh.run("python", "-c", "import seashell", check=False).returncode == 1
    atoll.stop(fresh)
    assert saved.id in [one.id for one in atoll.checkpoints()]


def test_a_job_in_it_is_refused_too(checkpoints: Checkpoints, saved: Checkpoint) -> None:
    become(checkpoints, "1.0.0")
    for choice in ("server", "last", str(saved.digest)):
        with pytest.raises(TooOldError):
            checkpoints.environments.ensure("ada", "", choice, f"job:{choice}")


def test_what_is_saved_over_an_old_one_is_as_old(
    atoll: Atoll, checkpoints: Checkpoints, saved: Checkpoint, tmp_path: Path
) -> None:
    become(checkpoints, "0.3.0")
    server = atoll.start()
    server.run("pip", "install", "--no-index", str(wheel(tmp_path, "conch")))
    atoll.stop(server)
    assert atoll.checkpoints()[0].platform_version == "0.1.0"


def test_packages_for_another_python_are_said_not_to_be_found(
    atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # the base's label alone: there is one Python here
        patch.setattr(type(checkpoints.ground.platform), "python_version", "3.99")
        become(checkpoints, "0.1.0")
    server = atoll.start()
    server.run("pip", "install", "--no-index", str(wheel(tmp_path)))
    atoll.stop(server)
    become(checkpoints, "0.2.0")
    assert "for Python 3.99, and the platform has 3." in str(atoll.prepare().fallback)


def test_a_job_in_a_server_that_ran_on_while_the_platform_went_on_is_refused_and_saves_nothing(
    atoll: Atoll, checkpoints: Checkpoints, saved: Checkpoint
) -> None:
    server = atoll.start()
    held = checkpoints.environments.ensure("ada", "", str(saved.digest), "job:1")
    assert held == saved.digest
    (server.env / "more").write_text("more")
    become(checkpoints, "1.0.0")

    with pytest.raises(TooOldError) as caught:
        checkpoints.environments.ensure("ada", "", "server", "job:2")

    assert f"atoll checkpoints rebase {saved.id}" in str(caught.value.hint)
    assert [one.id for one in atoll.checkpoints()] == [saved.id]


def test_what_was_saved_for_a_job_is_refused_where_only_then_its_age_is_known(
    atoll: Atoll, checkpoints: Checkpoints
) -> None:
    become(checkpoints, "0.1.0")
    server = atoll.start()
    (server.env / "more").write_text("more")
    ensure = checkpoints.environments.ensure
    assert isinstance(ensure("ada", "", "server", "job:1"), Pending)
    eventually(lambda: atoll.checkpoints()[0].status, lambda status: status.final)
    become(checkpoints, "1.0.0")

    with pytest.raises(TooOldError):
        ensure("ada", "", "server", "job:1")
