"""The jobs capability on a real database, image store and directories, served over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.jobs.service import Jobs
from atoll.jobs.settings import JobSettings
from atoll.kit.home import Home
from atoll.kit.processes import end_marked

from tests.listening import listening, server_for

from .platform import Atoll, eventually
from .service_under_test import build, url_of

FAST = JobSettings(places=2, grace_s=4, look_every_s=0.1)


@pytest.fixture
def settings() -> JobSettings:
    return FAST


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def served(home: Home, settings: JobSettings) -> Iterator[tuple[Atoll, Jobs]]:
    ear = listening()
    app = build(home, settings, url_of(ear))
    server = server_for(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [ear]})
    thread.start()
    atoll = Atoll(url_of(ear))
    eventually(lambda: server.started, bool)
    yield atoll, app.state.jobs
    end_all(home)
    atoll.close()
    server.should_exit = True
    thread.join(20)
    ear.close()
    assert not thread.is_alive()


def end_all(home: Home) -> None:
    """End what a test left running."""
    for path in home.jobs.iterdir() if home.jobs.is_dir() else []:
        end_marked("ATOLL_JOB", path.name, grace_s=0.1)


@pytest.fixture
def atoll(served: tuple[Atoll, Jobs]) -> Atoll:
    return served[0]


@pytest.fixture
def jobs(served: tuple[Atoll, Jobs]) -> Jobs:
    return served[1]
