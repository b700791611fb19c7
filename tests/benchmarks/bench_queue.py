"""The queue of jobs: a thousand that wait, until each has a place and its pod was asked for.

The cluster is a stand-in, a process that speaks Kubernetes' API and runs nothing, so that what is
measured is the platform's own: environments looked up, places given, secrets and pods made.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from atoll.jobs.models import JobRequest
from atoll.jobs.settings import JobSettings
from atoll.kit.home import Home
from atoll.kit.hub import USE, Caller

from tests.service.jobs.platform import eventually, notebook
from tests.service.jobs.service_under_test import build

ROOT = Path(__file__).parents[2]
JOBS = 1000
MOST_S = 10.0
ADA = Caller("ada", scopes=frozenset({USE}))


def _process(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT)


def measure() -> list[dict[str, object]]:
    """The figure, as `python -m tests.benchmarks queue` prints it."""
    with tempfile.TemporaryDirectory(prefix="atoll-bench-") as name:
        home = Home(Path(name) / "home")
        home.path.mkdir()
        settings = JobSettings(runner="kubernetes", places=JOBS, image="base:1")
        cluster = _process("tests.service.jobs.cluster", str(home.path), "hold")
        config = home.path / "kubeconfig"
        eventually(config.exists, bool)
        server = json.loads(config.read_text())["clusters"][0]["cluster"]["server"]
        app = build(home, settings, "http://127.0.0.1:1/")
        request = JobRequest(notebook=notebook("1"), environment="base")
        for _ in range(JOBS):
            app.state.jobs.create(ADA, request)
        app.state.jobs.close()
        app.state.database.close()
        service = _process(
            "tests.service.jobs.service_under_test", str(home.path), settings.model_dump_json()
        )
        try:
            eventually((home.run / "port").exists, bool)
            began = time.monotonic()
            counted = f"{server}/control"
            eventually(lambda: httpx.get(counted).json()["pods"], lambda pods: pods >= JOBS, 120)
            took = time.monotonic() - began
        finally:
            for process in (service, cluster):
                process.kill()
                process.wait()
    return [
        {
            "name": f"queue: {JOBS} jobs admitted, their pods asked for",
            "ours": took,
            "peer": None,
            "peer_name": None,
            "unit": "s",
            "ratio": None,
            "goal": f"≤ {MOST_S:g} s",
            "met": took <= MOST_S,
        }
    ]
