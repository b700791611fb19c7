"""Jobs: from submitting a notebook to its first cell, and to its end, beside papermill's own command.

Both run the same notebook, taken in turn: its first cell writes down the time. Ours is submitted over
HTTP to a service with a real queue and an environment unpacked for the job; the peer is the
`papermill` command as it comes, on the same Python, with nothing of that around it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from atoll.jobs import client
from atoll.jobs.models import JobRequest, JobStatus
from atoll.jobs.settings import JobSettings
from atoll.kit.home import Home
from atoll.kit.http import Connection

from tests.service.jobs.platform import eventually, notebook

RUNS = 7
ROOT = Path(__file__).parents[2]


def _document(stamp: Path) -> dict[str, object]:
    first = f"import time; open({str(stamp)!r}, 'w').write(repr(time.time()))"
    return {**notebook(first, "print(n)", parameters="n = 1")}


def _papermill(area: Path) -> tuple[float, float]:
    """(seconds to the first cell, seconds to the end) of papermill's command."""
    stamp = area / "stamp"
    (area / "in.ipynb").write_text(json.dumps(_document(stamp)))
    command = [
        str(Path(sys.executable).with_name("papermill")),
        "in.ipynb",
        "out.ipynb",
        "-p",
        "n",
        "2",
    ]
    began = time.time()
    subprocess.run(command, cwd=area, check=True, capture_output=True)
    return float(stamp.read_text()) - began, time.time() - began


def _job(connection: Connection, area: Path) -> tuple[float, float]:
    """(seconds to the first cell, seconds to the end, seen from outside) of a job."""
    stamp = area / "stamp"
    request = JobRequest.model_validate(
        {"notebook": _document(stamp), "parameters": {"n": 2}, "environment": "base"}
    )
    began = time.time()
    job = connection.send(client.submit(request))
    done = eventually(lambda: connection.send(client.job(job.id)), lambda found: found.status.final)
    took = time.time() - began
    assert done.status == JobStatus.SUCCEEDED, done
    return float(stamp.read_text()) - began, took


def _row(name: str, ours: list[float], peer: list[float], most: float) -> dict[str, object]:
    ratio = statistics.median(ours) / statistics.median(peer)
    return {
        "name": name,
        "ours": statistics.median(ours),
        "spread": f"({min(ours):.3g}–{max(ours):.3g})",
        "peer": statistics.median(peer),
        "peer_name": f"papermill command ({min(peer):.3g}–{max(peer):.3g})",
        "unit": "s",
        "ratio": ratio,
        "goal": f"≤ {most:g}×",
        "met": ratio <= most,
    }


def measure() -> list[dict[str, object]]:
    """All figures of this file, as `python -m tests.benchmarks` prints them."""
    with tempfile.TemporaryDirectory(prefix="atoll-bench-") as name:
        area = Path(name)
        home = Home(area / "home")
        home.create()
        service = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.service.jobs.service_under_test",
                str(home.path),
                JobSettings().model_dump_json(),
            ],
            cwd=ROOT,
        )
        try:
            port = home.run / "port"
            eventually(port.exists, bool)
            with Connection(f"http://127.0.0.1:{port.read_text()}/api/v1/", "ada") as connection:
                _job(connection, area)  # the first one compiles what was never run
                _papermill(area)
                ours, peer = [], []
                for _ in range(RUNS):
                    peer.append(_papermill(area))
                    ours.append(_job(connection, area))
        finally:
            service.terminate()
            service.wait()
    (first, end), (peer_first, peer_end) = zip(*ours, strict=True), zip(*peer, strict=True)
    return [
        _row("job: submitted to first cell", list(first), list(peer_first), 1.0),
        _row("job: submitted to end", list(end), list(peer_end), 1.0),
    ]
