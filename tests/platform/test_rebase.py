"""A rebase on the whole platform: asked for in a terminal, run by its jobs, started from by the hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.checkpoints import client
from atoll.checkpoints.models import CheckpointStatus
from atoll.kit.db import Database
from atoll.kit.home import Home
from sqlalchemy import text

from tests.platform.driver import Platform, eventually, make_wheel, running

pytestmark = pytest.mark.platform


@pytest.fixture
def platform(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """A platform that starts nothing of an older version, and has an index of one package."""
    index = tmp_path / "index"
    index.mkdir()
    make_wheel(index, "whelk", "1.0")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    home.create()
    home.settings.write_text("[checkpoints]\nversions_back = 0\n")
    with running(home) as started:
        yield started


def test_an_environment_that_is_too_old_is_refused_rebased_and_started(platform: Platform) -> None:
    uma = platform.user("uma")
    uma.start()
    uma.lab().run("pip", "install", "whelk==1.0")
    uma.stop()
    uma.saved()
    _age(platform, "uma")

    with pytest.raises(AssertionError):
        uma.start()
    page = uma.http.get("hub/spawn/uma").text
    assert "atoll checkpoints rebase" in page
    with uma.connection() as service:
        [old] = service.send(client.checkpoints(user="uma")).items
        assert old.too_old is not None
        asked = service.send(client.rebase(old.id))
        new = eventually(
            lambda: service.send(client.checkpoint(asked.id)), lambda found: found.status.final, 90
        )
        assert (new.status, new.message) == (CheckpointStatus.READY, None)
        service.send(client.restore(new.id))
    uma.start()
    assert uma.lab().run("whelk").stdout == "whelk 1.0\n"
    uma.stop()


def _age(platform: Platform, user: str) -> None:
    """As if the platform had gone on for years."""
    database = Database(f"sqlite:///{platform.home.service / 'atoll.sqlite'}")
    with database.write() as session:
        aged = text("UPDATE checkpoints SET platform_version = '0.0.1' WHERE user = :user")
        session.execute(aged, {"user": user})
    database.close()
