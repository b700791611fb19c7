"""Jobs that the platform submits for a user, and whose environment it takes once they have ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from atoll.jobs.models import JobRequest, JobStatus
from atoll.jobs.runners import ContainerOfJob
from atoll.jobs.service import Jobs
from atoll.jobs.store import JobRow
from atoll.kit.errors import NotFoundError
from atoll.kit.hub import Caller

_TIMEOUT_S: Final = 4 * 3600  # some packages are built


@dataclass(frozen=True, slots=True)
class Run:
    """How such a job stands; `told` is for people."""

    final: bool
    succeeded: bool
    told: str


class KeptJobs:
    """Submits, looks at and clears such jobs. Blocks. Ids come from whoever asked."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    @property
    def contained(self) -> bool:
        """Whether they run in containers."""
        return self._jobs.reports is not None

    def begin(
        self,
        id_: str,
        user: str,
        name: str,
        notebook: dict[str, Any],
        parameters: Mapping[str, list[str]],
    ) -> None:
        """Submit a job of this id for the user, in the base; nothing where it was submitted before."""
        if self.look(id_) is not None:
            return
        request = JobRequest(
            name=name,
            notebook=notebook,
            parameters={name: [*words] for name, words in parameters.items()},
            environment="base",
            timeout_s=min(_TIMEOUT_S, self._jobs.ground.settings.timeout_most_s),
        )
        self._jobs.create(Caller(user), request, id_)

    def look(self, id_: str) -> Run | None:
        """How it stands; None where there is no such job."""
        try:
            job = self._jobs.show(self._as_owner(id_), id_)
        except NotFoundError:
            return None
        told = job.message or ""
        if job.status is JobStatus.RUNNING:
            told = f"step {job.step.cell} of {job.step.cells}."
        return Run(job.status.final, job.status is JobStatus.SUCCEEDED, told)

    def output(self, id_: str) -> bytes | None:
        """Its output notebook."""
        return self._jobs.runner.output(id_)

    def environment(self, id_: str) -> Path | ContainerOfJob | None:
        """Where the environment of the job that has ended lies; None where it is gone."""
        return self._jobs.runner.environment(id_)

    def stop(self, id_: str) -> None:
        """Have it end."""
        self._jobs.stop(self._as_owner(id_), id_)

    def clear(self, id_: str) -> None:
        """What it left behind is needed no more."""
        self._jobs.runner.clear(id_)

    def _as_owner(self, id_: str) -> Caller:
        with self._jobs.ground.database.read() as session:
            row = session.get(JobRow, id_)
        if row is None:
            raise NotFoundError("There is no such job.")
        return Caller(row.user)
