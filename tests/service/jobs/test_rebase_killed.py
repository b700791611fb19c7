"""kill -9 of the service in a rebase: it goes on, once, and nothing is half there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from atoll.checkpoints import client
from atoll.checkpoints.models import Checkpoint, CheckpointStatus
from atoll.jobs import client as jobs_client
from atoll.jobs.models import JobStatus
from atoll.kit.db import Database
from atoll.kit.errors import UnavailableError
from atoll.kit.home import Home
from sqlalchemy import text

from tests.databases import url_of

from .conftest import FAST
from .platform import eventually, wheel
from .test_kills import Platform
from .test_rebase import final, saved


@pytest.fixture
def platform(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    index = tmp_path / "index"
    index.mkdir()
    wheel(index, "conch", "1.0")
    pip = {"PIP_FIND_LINKS": str(index), "PIP_NO_INDEX": "1"}
    for name, value in pip.items():
        monkeypatch.setenv(name, value)
    platform = Platform(home, FAST, pip)
    yield platform
    platform.close()


def an_old_one(platform: Platform) -> Checkpoint:
    """A saved environment; afterwards the platform is newer than it, and does not run."""
    old = saved(platform.start(), "conch==1.0")
    platform.kill()
    database = Database(url_of(platform.home))
    with database.write() as session:
        session.execute(text("UPDATE checkpoints SET platform_version = '0.0.1'"))
    database.close()
    return old


@pytest.mark.parametrize(
    "place",
    [
        "atoll.checkpoints.rebasing:Rebasing._begin:before",
        "atoll.jobs.kept:KeptJobs.begin:before",
        "atoll.jobs.kept:KeptJobs.begin:after",
        "atoll.checkpoints.directory:EnvironmentDirectory.save:before",
        "atoll.checkpoints.directory:EnvironmentDirectory.save:after",
        "atoll.checkpoints.rebasing:Rebasing._ready:after",
    ],
)
def test_a_rebase_goes_on_where_the_service_was_killed(platform: Platform, place: str) -> None:
    old = an_old_one(platform)
    atoll = platform.start(place)
    with suppress(UnavailableError):  # it may be gone before it has answered
        atoll.send(client.rebase(old.id))
    assert platform.process is not None
    platform.process.wait()

    atoll = platform.start()
    new = final(atoll, atoll.send(client.checkpoints()).items[0])

    assert (new.status, new.message) == (CheckpointStatus.READY, None)
    assert new.changes is not None
    assert [one.name for one in new.changes.packages] == ["conch"]
    [job] = atoll.send(jobs_client.jobs()).items
    assert (job.id, job.status) == (new.job, JobStatus.SUCCEEDED)
    assert len(atoll.send(client.checkpoints()).items) == 2
    environment = platform.home.jobs / job.id / "environment"
    eventually(environment.exists, lambda there: not there, 30)
