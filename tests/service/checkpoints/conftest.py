"""The checkpoints service on a real database, store and directories, served over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.checkpoints.service import Checkpoints
from atoll.checkpoints.settings import CheckpointSettings
from atoll.kit.home import Home

from tests.listening import listening, server_for

from .platform import Atoll
from .service_under_test import HubStub, build

FAST = CheckpointSettings(
    watch_every_s=0.1, scan_every_s=0.2, start_grace_s=60, end_grace_s=1, keep_last=5
)


@pytest.fixture
def settings() -> CheckpointSettings:
    return FAST


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def hub() -> HubStub:
    return HubStub()


@pytest.fixture
def served(
    home: Home, settings: CheckpointSettings, hub: HubStub
) -> Iterator[tuple[Atoll, Checkpoints]]:
    app = build(home, settings, hub)
    server = server_for(app)
    ear = listening()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [ear]})
    thread.start()
    atoll = Atoll(f"http://127.0.0.1:{ear.getsockname()[1]}/api/v1/")
    yield atoll, app.state.checkpoints
    atoll.close()
    server.should_exit = True
    thread.join(20)
    ear.close()
    assert not thread.is_alive()


@pytest.fixture
def atoll(served: tuple[Atoll, Checkpoints]) -> Atoll:
    return served[0]


@pytest.fixture
def checkpoints(served: tuple[Atoll, Checkpoints]) -> Checkpoints:
    return served[1]
