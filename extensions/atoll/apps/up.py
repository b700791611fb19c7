"""`atoll up`, `down`, `status`: the embedded platform, started, ended and looked at."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from urllib.parse import urlsplit

from atoll.apps import platform_state, separate
from atoll.apps.announcing import Terminal, described, ended, welcome
from atoll.apps.ending_jobs import end_jobs
from atoll.apps.platform_state import PlatformStatus
from atoll.apps.starting import load_settings, supervise
from atoll.kit.errors import AtollError
from atoll.kit.home import Home
from hub_config.auth_secrets import password_file


def up(home: Home, port: int | None = None, detach: bool = False, *, announce: bool = True) -> int:
    """Start the platform and run it until a signal; with `detach`, return when it is ready.

    The exit status. Raises SettingsError, ConflictError where it cannot be started at all.
    """
    home.create()
    config = load_settings(home, port)
    first = not password_file(home).exists()
    terminal = Terminal()

    def ready() -> None:
        if announce:
            url = platform_state.read(home).url
            terminal.say(welcome(home, url, first, config.hub.administrators))

    if detach:
        was_up = separate.start(home, port)
    else:
        with platform_state.lock(home) as mine:
            if mine:
                status = supervise(home, config, terminal.say, ready)
                if status == 0:
                    terminal.say(ended(home))
                return status
        separate.wait_until_ready(home)
        was_up = True
    ready()
    if was_up:
        terminal.say(_was_up(home, port))
    return 0


def _was_up(home: Home, port: int | None) -> str:
    found = urlsplit(platform_state.read(home).url).port
    if port in (None, found):
        return "  It was up already."
    return f"  It was up already, on port {found}: `atoll down` first to use port {port}."


def down(home: Home, stop_jobs: bool = False) -> int:
    """Stop the servers, have them saved, end the platform; jobs run on unless told otherwise."""
    home.create()
    terminal = Terminal()
    status = platform_state.read(home)
    with platform_state.lock(home) as mine:
        if not mine:
            separate.end(home, terminal.say)
        elif any(part.running for part in status.parts):
            terminal.say("Its supervisor was killed: taking over what is left, to end it in order.")
            config = load_settings(home, urlsplit(status.url).port)
            if supervise(home, config, terminal.say, None):
                return 1
        elif not stop_jobs:
            terminal.say("Atoll is not running.")
            return 0
    if stop_jobs:  # last: the service would start the next ones in the queue in their places
        end_jobs(home, terminal.say)
    terminal.say(ended(home))
    return 0


def look(home: Home) -> PlatformStatus:
    """How the platform stands."""
    return platform_state.read(home)


def address(home: Home) -> str | None:
    """What people open, None where the platform is not up."""
    found = look(home)
    return found.url if found.phase is platform_state.Phase.READY else None


def status(home: Home) -> int:
    """Print how the platform stands; the exit status is 0 where it is up, else 1."""
    found = look(home)
    print(described(found))
    return 0 if found.phase is platform_state.Phase.READY else 1


if __name__ == "__main__":  # what `separate.start` runs
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--home", type=Path, required=True)
    arguments.add_argument("--port", type=int)
    given = arguments.parse_args()
    try:
        sys.exit(up(Home(given.home), given.port, announce=False))
    except AtollError as error:
        sys.exit(str(error))
