"""A local server on a disk that is full: it is looked at and stopped all the same."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.hub.local import ProcessSpawner
from atoll.kit.logfiles import MOST_BYTES
from atoll.kit.processes import ProcessId


class Spawner(ProcessSpawner):
    """One whose log is known without a hub."""

    log_path = Path()


@pytest.fixture
def spawner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spawner]:
    """The spawner of a running server with a large log, on a full disk."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", full)
    spawner = Spawner.__new__(Spawner)
    spawner.log_path = tmp_path / "server.log"
    spawner.log_path.touch()
    with spawner.log_path.open("r+b") as log:
        log.truncate(MOST_BYTES + 1)
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        spawner._child, spawner._process = process, ProcessId.of(process.pid)
        yield spawner
        process.kill()


async def test_a_server_on_a_full_disk_runs_on_and_can_be_stopped(spawner: Spawner) -> None:
    assert await spawner.poll() is None
    await spawner.stop()
    assert await spawner.poll() is not None
