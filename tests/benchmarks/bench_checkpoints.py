"""Checkpoints through the capability itself: database, directory, store, description, all that a user waits for.

The trees and the state directory are in memory (`/dev/shm`) where there is room, as in `bench_oci`; the
peer is timed in turn with ours.
"""

from __future__ import annotations

import hashlib
import resource
import shutil
import statistics
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atoll.checkpoints.models import (
    CheckpointRequest,
    CheckpointStatus,
    ServerStatus,
    Started,
    StartRequest,
)
from atoll.checkpoints.preparing import Preparing
from atoll.checkpoints.saving import Saving
from atoll.checkpoints.service import MIGRATIONS, Checkpoints
from atoll.checkpoints.settings import CheckpointSettings
from atoll.checkpoints.store import ServerRow, find_server
from atoll.checkpoints.watching import Watching
from atoll.kit import db
from atoll.kit.db import Database
from atoll.kit.home import Home
from atoll.kit.hub import USE, Caller

from tests.benchmarks.bench_oci import (
    BYTES,
    FILES,
    RUNS,
    SCANNED,
    _area,
    _make,
    _peer_tar,
    _spread,
    _timed,
)

ADA = Caller("ada", scopes=frozenset({USE}))
_KIT = Path(db.__file__).parent / "migrations" / "versions"


class _NoHub:
    def stop_server(self, user: str, server: str) -> None:
        raise NotImplementedError

    def running(self) -> set[tuple[str, str]]:
        return set()

    def groups(self, user: str) -> frozenset[str] | None:
        raise NotImplementedError


class _Platform:
    """The capability with a server of ada's that runs; its steps are taken here, one by one."""

    def __init__(self, home: Home) -> None:
        home.create()
        self.database = Database(f"sqlite:///{home.service / 'atoll.sqlite'}")
        self.database.upgrade([_KIT, MIGRATIONS])
        self.checkpoints = Checkpoints(self.database, home, CheckpointSettings(), _NoHub())
        self.ground = self.checkpoints.ground
        self.saving = Saving(self.ground)
        started = self.checkpoints.servers.start("ada", "-", StartRequest())
        assert Preparing(self.ground).prepare(self.row()) is None
        assert started.start_id is not None
        self.checkpoints.servers.started("ada", "-", Started(start_id=started.start_id))
        assert self.row().status == ServerStatus.RUNNING
        self.env = self.ground.directory(self.row()).env

    def row(self) -> ServerRow:
        """The server's row."""
        with self.database.read() as session:
            row = find_server(session, "ada", "")
        assert row is not None
        return row

    def save(self) -> str:
        """Save now, to the end; the digest."""
        asked = self.checkpoints.save(ADA, CheckpointRequest(server="-"))
        if not asked.status.final:
            assert self.saving.perform(asked.id) is None
        saved = self.checkpoints.show(ADA, asked.id)
        assert saved.status == CheckpointStatus.READY
        assert saved.digest is not None
        return saved.digest


@contextmanager
def _platform(area: Path, name: str) -> Iterator[_Platform]:
    platform = _Platform(Home(area / name))
    try:
        yield platform
    finally:
        platform.database.close()
        shutil.rmtree(area / name)


def _changed(area: Path) -> list[dict[str, object]]:
    root = area / "made"
    _make(root, FILES, BYTES, seed=3)
    saves, tars = [], []
    for number in range(RUNS):
        with _platform(area, f"home{number}") as platform:
            packages = platform.env / "lib" / "made"
            shutil.copytree(root, packages)
            tars.append(_timed(lambda: _peer_tar(root, area / "peer.tar")))
            saves.append(_timed(platform.save))
    shutil.rmtree(root)
    ratio = statistics.median(saves) / statistics.median(tars)
    return [
        {
            "name": f"save now: {BYTES >> 20} MiB in {FILES:,} files changed",
            "ours": statistics.median(saves),
            "spread": _spread(saves),
            "peer": statistics.median(tars),
            "peer_name": f"tarfile + sha256, uncompressed {_spread(tars)}",
            "unit": "s",
            "ratio": ratio,
            "goal": "≤ 2.5×",
            "met": ratio <= 2.5,
        }
    ]


def _restored(area: Path) -> list[dict[str, object]]:
    ours, peer = [], []
    with _platform(area, "home") as platform:
        _make(platform.env / "lib" / "made", FILES, BYTES, seed=3)
        plain = area / "peer.tar"
        with tarfile.open(plain, "w", format=tarfile.PAX_FORMAT) as tar:
            tar.add(platform.env / "lib", arcname="lib")
        digest = platform.save()
        shutil.rmtree(platform.env)

        def untar() -> None:
            with plain.open("rb") as file:
                hashlib.file_digest(file, "sha256")
            with tarfile.open(plain) as tar:
                tar.extractall(area / "untarred", filter="data")

        job = area / "job"
        environments = platform.checkpoints.environments
        for _ in range(3):
            ours.append(_timed(lambda: environments.materialise(digest, job)))
            peer.append(_timed(untar))
            shutil.rmtree(job)
            shutil.rmtree(area / "untarred")
        plain.unlink()
    ratio = statistics.median(ours) / statistics.median(peer)
    return [
        {
            "name": f"environment for a job: {BYTES >> 20} MiB in {FILES:,} files",
            "ours": statistics.median(ours),
            "spread": _spread(ours),
            "peer": statistics.median(peer),
            "peer_name": f"sha256 + tarfile, uncompressed {_spread(peer)}",
            "unit": "s",
            "ratio": ratio,
            "goal": "≤ 1.5×",
            "met": ratio <= 1.5,
        }
    ]


def _unchanged(area: Path) -> list[dict[str, object]]:
    with _platform(area, "home") as platform:
        _make(platform.env / "lib" / "made", SCANNED, SCANNED * 2000, seed=4)
        platform.save()
        saves = [_timed(platform.save) for _ in range(RUNS)]
        (platform.env / "one").write_text("x" * 1000)
        small = [_timed(platform.save)]
        for number in range(RUNS - 1):
            (platform.env / "one").write_text(str(number))
            small.append(_timed(platform.save))
        watching, every_s = Watching(platform.ground), CheckpointSettings().scan_every_s
        looks = []
        for number in range(RUNS):
            (platform.env / f"unsaved{number}").touch()
            before = resource.getrusage(resource.RUSAGE_SELF)
            watching._scan(platform.row())
            after = resource.getrusage(resource.RUSAGE_SELF)
            looks.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    nothing, one, look = (statistics.median(times) for times in (saves, small, looks))
    share = 100 * look / max(every_s, 20 * look)
    return [
        _plain(f"save now: nothing changed among {SCANNED:,} files", nothing, saves, 0.3, "s"),
        _plain(f"save now: one small file among {SCANNED:,}", one, small, 1.5, "s"),
        _plain(f"watching {SCANNED:,} files: of one processor", share, [share], 5.0, "%"),
    ]


def _plain(name: str, ours: float, times: list[float], goal: float, unit: str) -> dict[str, object]:
    return {
        "name": name,
        "ours": ours,
        "spread": _spread(times),
        "peer": None,
        "peer_name": None,
        "unit": unit,
        "ratio": None,
        "goal": f"≤ {goal:g} {unit}",
        "met": ours <= goal,
    }


def measure() -> list[dict[str, object]]:
    """All figures of this file, as `python -m tests.benchmarks` prints them."""
    with _area() as area:
        return [*_changed(area), *_restored(area), *_unchanged(area)]
