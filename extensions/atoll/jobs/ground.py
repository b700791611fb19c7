"""What every part of the jobs capability stands on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy.orm import Session

from atoll.jobs.runners import Runner
from atoll.jobs.settings import JobSettings
from atoll.kit.db import Database
from atoll.kit.home import Home
from atoll.kit.kube.volumes import Directory


class Pending(Protocol):
    """No environment yet, and why: for programs and for people."""

    @property
    def reason(self) -> str: ...

    @property
    def message(self) -> str: ...


class Environments(Protocol):
    """What jobs need of environments. `holder` is `job:` and the job's id."""

    def check(self, user: str, server: str) -> None:
        """Raise InvalidError where the user has no such server."""
        ...

    def ensure(
        self, caller_name: str, server: str | None, choice: str, holder: str
    ) -> str | Pending:
        """The digest for a choice, held by the holder; or why there is none yet.

        Raises ConflictError where there is none and never will be.
        """
        ...

    def hold(self, session: Session, digest: str, holder: str) -> None:
        """Hold an environment, in the caller's transaction."""
        ...

    def release(self, session: Session, holder: str) -> None:
        """Give up what the holder holds, in the caller's transaction."""
        ...

    def reference(self, digest: str) -> tuple[str, str | None] | None:
        """What a node pulls to run in the environment, and its architecture; None for the platform's base."""
        ...

    def keeps(self, job: str) -> bool:
        """Whether what a job that has ended left behind is still needed."""
        ...

    def materialise(self, digest: str, path: Path) -> dict[str, str]:
        """Unpack the environment into `path`; the variables to run in it."""
        ...


class Users(Protocol):
    """What jobs need of the hub's users; `kit.hub_api.HubApi` is it. Blocks."""

    def groups(self, user: str) -> frozenset[str] | None:
        """The groups that a user is in now; None where the hub has no such user.

        Raises UnavailableError where the hub is away.
        """
        ...


Shares = Callable[[str], Sequence[Directory]]
"""The shared directories that a user's jobs have, as things stand when it is called. Blocks, and
raises UnavailableError where nobody can say at the moment."""


def nothing_shared(user: str) -> Sequence[Directory]:
    """Where nothing is shared."""
    del user
    return ()


@dataclass(frozen=True)
class Ground:
    """The parts, put together once for each process."""

    database: Database
    home: Home
    settings: JobSettings
    environments: Environments
    runner: Runner
    service_url: str
    clock: Callable[[], datetime]

    def token_secret(self) -> str:
        """What the tokens of jobs are made from."""
        return self.home.secret("job-tokens")


def holder(id_: str) -> str:
    """What a job is called where environments are held."""
    return f"job:{id_}"
