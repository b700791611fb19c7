"""What the running platform says of itself, in ATOLL_HOME/run; one supervisor at a time by a lock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ValidationError

from atoll.kit.home import Home
from atoll.kit.locks import held
from atoll.kit.processes import ProcessId

_STATE: Final = "platform.json"


class Phase(StrEnum):
    """Where a platform is in its life."""

    DOWN = "down"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


class Part(BaseModel):
    """One process of the platform."""

    name: str
    process: ProcessId | None
    running: bool
    restarts: int = 0


class PlatformStatus(BaseModel):
    """What `atoll status` shows."""

    home: str
    phase: Phase
    url: str = ""
    message: str = ""
    since: datetime | None = None
    supervisor: ProcessId | None = None
    parts: list[Part] = []


def write(home: Home, status: PlatformStatus) -> None:
    """Write it down, as a whole."""
    draft = home.run / f".{_STATE}.draft"
    draft.write_text(status.model_dump_json(indent=1), "utf-8")
    draft.replace(home.run / _STATE)


def read(home: Home) -> PlatformStatus:
    """How the platform stands; `down` where no supervisor runs, with what is left of it."""
    try:
        known = PlatformStatus.model_validate_json((home.run / _STATE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return PlatformStatus(home=str(home.path), phase=Phase.DOWN)
    for part in known.parts:
        part.running = part.process is not None and part.process.alive()
    if known.supervisor is None or not known.supervisor.alive():
        known.phase, known.message = Phase.DOWN, ""
        if any(part.running for part in known.parts):
            known.message = "Its supervisor was killed; `atoll up` takes over what is left."
    return known


@contextmanager
def lock(home: Home) -> Iterator[bool]:
    """Whether this process is now the home's one supervisor; ends with the process, however it ends."""
    descriptor = os.open(home.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with held(descriptor) as alone:
        yield alone
