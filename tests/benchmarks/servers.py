"""Servers on a cluster as the benchmarks use them: started to the lab's page, changed, stopped, saved."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from atoll.checkpoints import client
from atoll.checkpoints.models import ServerStatus

from tests.kubernetes.hub_on_host import Guest, Host, on_host
from tests.kubernetes.where import SINGLEUSER
from tests.platform.driver import eventually

SETTLED_S = 300.0
CHANGE = """
import pathlib, shutil, sys
place, left = pathlib.Path(sys.argv[1]), int(sys.argv[2]) * 1_000_000
for file in sorted(pathlib.Path("/opt").rglob("*.*")):
    if left <= 0:
        break
    if file.is_file() and not file.is_symlink() and place.parent not in file.parents:
        target = place / file.relative_to("/opt")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        left -= file.stat().st_size
"""
"""Copies real files of the image, its programs and packages, until so many megabytes are written."""

PLAIN: dict[str, Any] = {
    "cpu_limit": 2,
    "cpu_guarantee": 0.1,
    "mem_limit": "2G",
    "mem_guarantee": "512M",
    "start_timeout": 300,
}
"""The size of a server in KubeSpawner's own options."""

SETTINGS: dict[str, Any] = {
    "hub": {
        "image": SINGLEUSER,
        "start_timeout_s": 300,
        "schedule_timeout_s": 300,
        "profiles": {
            "standard": {
                "title": "Standard",
                "cpu": 2,
                "cpu_guarantee": 0.1,
                "memory": "2G",
                "memory_guarantee": "512M",
            }
        },
    }
}
"""The same in the platform's."""


@contextmanager
def ours(folder: Path) -> Iterator[Host]:
    """The platform on this host, with an agent for the one node."""
    with on_host(folder, SETTINGS) as host:
        host.begin("agent")
        yield host


def start(guest: Guest, **options: str) -> float:
    """Seconds from the click to the lab's page, as a browser on the progress page has it."""
    began = time.perf_counter()
    guest.begin(**options)
    said = guest.messages()
    assert said[-1].startswith("Server ready"), said
    page = guest.http.get(f"user/{guest.name}/lab", follow_redirects=True)
    assert page.status_code == 200, page.text
    assert "jupyter-config-data" in page.text
    return time.perf_counter() - began


def stop(guest: Guest) -> float:
    """Seconds until the hub says that the server is stopped."""
    began = time.perf_counter()
    guest.stop()
    return time.perf_counter() - began


def saved(guest: Guest) -> float:
    """Seconds until the platform says that what was changed is saved."""
    began = time.perf_counter()
    with guest.connection() as service:
        eventually(
            lambda: service.send(client.server(guest.name, "")),
            lambda server: server.status == ServerStatus.SAVED,
            SETTLED_S,
        )
    return time.perf_counter() - began


def change(guest: Guest, megabytes: int, place: str) -> None:
    """Write so much outside of the home."""
    command = f"python - /opt/environment/changed/{place} {megabytes} <<'END'\n{CHANGE}\nEND"
    guest.sh(command)


def gone(guest: Guest) -> None:
    """Wait until the pods are gone: nothing is left that the next start would wait for."""
    eventually(guest.pods, lambda pods: not pods, SETTLED_S)
