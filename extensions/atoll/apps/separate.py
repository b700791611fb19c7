"""A supervisor in a process of its own: started apart from the terminal, waited for, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

from atoll.apps import platform_state
from atoll.apps.platform_state import Phase
from atoll.kit.errors import UnavailableError
from atoll.kit.home import Home
from atoll.kit.logfiles import last_lines, open_log

_LOOK_S: Final = 0.1
_READY_S: Final = 150.0  # a little longer than the supervisor itself waits


def start(home: Home, port: int | None) -> bool:
    """Start a supervisor and return when the platform is ready; True where it was up already.

    Raises UnavailableError with what it said where it does not start.
    """
    with platform_state.lock(home) as free:
        pass
    if not free:
        wait_until_ready(home)
        return True
    path = home.logs / "up.log"
    argv = [sys.executable, "-P", "-m", "atoll.apps.up", f"--home={home.path}"]
    if port is not None:
        argv.append(f"--port={port}")
    log = open_log(path)
    try:
        started = os.fstat(log).st_size
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home.path,
            start_new_session=True,
        )
    finally:
        os.close(log)
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        status = platform_state.read(home)
        if status.phase is Phase.READY and status.supervisor is not None:
            return status.supervisor.pid != process.pid
        if process.poll() is not None:
            said = path.read_text("utf-8", "replace")[started:]
            raise UnavailableError(said.strip() or "\n".join(last_lines(path, 12)))
        time.sleep(_LOOK_S)
    raise UnavailableError(f"The platform is not ready; its logs are in {home.logs}.")


def wait_until_ready(home: Home) -> None:
    """Return when the platform that another process supervises is ready; raises UnavailableError."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        status = platform_state.read(home)
        if status.phase is Phase.READY:
            return
        if status.phase is Phase.STOPPING:
            raise UnavailableError("The platform is just ending.", hint="Try again in a moment.")
        with platform_state.lock(home) as free:
            if free:
                raise UnavailableError(
                    "The platform did not start.", hint=f"Its logs are in {home.logs}."
                )
        time.sleep(_LOOK_S)
    raise UnavailableError(f"The platform is not ready; its logs are in {home.logs}.")


def end(home: Home, say: Callable[[str], None]) -> None:
    """End the supervisor, which ends everything in order; returns when it has."""
    asked = False
    while True:
        status = platform_state.read(home)
        if not asked and status.supervisor is not None and status.supervisor.alive():
            status.supervisor.send(signal.SIGTERM)
            asked = True
        elif asked:
            say(status.message)
        with platform_state.lock(home) as free:
            if free:
                return
        time.sleep(_LOOK_S)
