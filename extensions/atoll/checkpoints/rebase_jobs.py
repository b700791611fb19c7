"""What a rebase needs of jobs, which are another capability's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Run(Protocol):
    """How a rebase's job stands; `told` is for people."""

    @property
    def final(self) -> bool: ...

    @property
    def succeeded(self) -> bool: ...

    @property
    def told(self) -> str: ...


class ContainerOfJob(Protocol):
    """The container in which a job ran, and the image that it was started from, by digest."""

    @property
    def node(self) -> str: ...

    @property
    def container(self) -> str: ...

    @property
    def image(self) -> str: ...


class Jobs(Protocol):
    """The jobs of rebases; `jobs.kept.KeptJobs` is it. All block."""

    @property
    def contained(self) -> bool:
        """Whether they run in containers."""
        ...

    def begin(
        self,
        id_: str,
        user: str,
        name: str,
        notebook: dict[str, Any],
        parameters: Mapping[str, list[str]],
    ) -> None:
        """Submit a job of this id for the user, in the base; nothing where it was submitted before.

        Raises AtollError where it cannot be.
        """
        ...

    def look(self, id_: str) -> Run | None:
        """How it stands; None where there is no such job."""
        ...

    def output(self, id_: str) -> bytes | None:
        """Its output notebook."""
        ...

    def environment(self, id_: str) -> Path | ContainerOfJob | None:
        """Where the environment of the job that has ended lies; None where it is gone."""
        ...

    def stop(self, id_: str) -> None:
        """Have it end."""
        ...

    def clear(self, id_: str) -> None:
        """What it left behind is needed no more."""
        ...
