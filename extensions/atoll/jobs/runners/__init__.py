"""Runners: what carries jobs out. One protocol; `local` runs them as processes, `kubernetes` as pods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, JsonValue, ValidationError

from atoll.jobs.models import Failure, JobStatus, Resources

Loop = Callable[[], Awaitable[None]]
"""What is run for ever beside the reconcilers, and started again where it fails."""


class Phase(StrEnum):
    """What a runner sees of a job."""

    ABSENT = "absent"  # nothing runs, and nothing ever did
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"


def _none() -> None:
    """The files of a job that was given none."""


@dataclass(frozen=True, slots=True)
class Work:
    """A job as a runner gets it."""

    id: str
    user: str
    name: str  # of the notebook, for people
    folder: str  # where it starts, relative to the user's home
    notebook: Callable[[], bytes]  # read by the runner that needs it here
    kernel: str
    language: str
    parameters: Mapping[str, JsonValue]
    environment: str  # digest
    timeout_s: int
    variables: Mapping[str, str]  # environment variables, the job's token among them
    resources: Resources = field(default_factory=Resources)
    files: Callable[[], bytes | None] = _none  # an archive for `bundle.unpack`, likewise


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended; `status` is final."""

    status: JobStatus
    reason: str | None = None
    message: str | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a runner sees of a job: `cell` of `cells`, and the outcome once it ended.

    While it waits to run, `reason` and `message` may say for what. `again_s` is how soon it is worth
    looking again, where the runner tells of changes by itself.
    """

    phase: Phase
    cell: int = 0
    cells: int = 0
    started_at: datetime | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    message: str | None = None
    again_s: float | None = None


@dataclass(frozen=True, slots=True)
class ContainerOfJob:
    """The container in which a job ran, as NAMESPACE/POD/CONTAINER, and its image by digest."""

    node: str
    container: str
    image: str


class Said(BaseModel):
    """A process's last word about its job."""

    status: JobStatus
    reason: str | None = None
    message: str | None = None
    failure: Failure | None = None
    step: tuple[int, int] = (0, 0)

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Said | None:
        """What was said, None where it is no last word."""
        try:
            found = cls.model_validate(said)
        except ValidationError:
            return None
        return found if found.status.final else None

    @property
    def outcome(self) -> Outcome:
        """How the job ended, as the process has it."""
        return Outcome(self.status, self.reason, self.message, self.failure)


class Runner(Protocol):
    """Carries jobs out. Everything blocks, and may be called again after any interruption."""

    def start(self, work: Work) -> None:
        """Begin. However often it is called for a job, the notebook is run once."""
        ...

    def look(self, id_: str) -> Seen:
        """How the job stands; also one that another process of the service started."""
        ...

    def end(self, id_: str) -> bool:
        """Ask it to end, then insist. True once nothing of it is left and nothing can begin."""
        ...

    def clear(self, id_: str) -> None:
        """Remove what only a running job needs; log and output stay."""
        ...

    def environment(self, id_: str) -> Path | ContainerOfJob | None:
        """Where the environment of a job that has ended lies until `clear`; None where it is gone."""
        ...

    def remove(self, id_: str) -> None:
        """Remove everything of the job."""
        ...

    def kept(self) -> list[str]:
        """Ids of jobs of which anything is kept."""
        ...

    def left(self) -> list[str]:
        """Ids of jobs that `clear` has something to do for; asked once, when a service begins."""
        ...

    def alive(self) -> list[str]:
        """Ids of jobs that something runs for, as far as is known without asking: asked often."""
        ...

    def watch(self, changed: Callable[[str], None]) -> Mapping[str, Loop]:
        """Loops to be run beside the reconciler, by name; they tell the ids of jobs that changed."""
        ...

    def log(self, id_: str, offset: int, most: int) -> tuple[bytes, int]:
        """Up to `most` bytes of the log from `offset`, and its size."""
        ...

    def output(self, id_: str) -> bytes | None:
        """The output notebook as it is now, None where there is none yet."""
        ...

    def close(self) -> None:
        """Close its connections; jobs go on."""
        ...
