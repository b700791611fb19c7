"""What a rebase is told of its job, by a test: how it stands, and the container that it left."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """A job's state."""

    final: bool = False
    succeeded: bool = False
    told: str = "It runs."


DONE = Run(final=True, succeeded=True, told="It is done.")


@dataclass(frozen=True)
class Container:
    """Where a job ran."""

    node: str = "node-1"
    container: str = "jobs/j-1/job"
    image: str = "registry.example/atoll/singleuser@sha256:" + "1" * 64
