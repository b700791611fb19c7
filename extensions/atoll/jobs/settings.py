"""The settings of jobs: `[jobs]` in the settings file."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from atoll.kit.settings import Section

Seconds = Annotated[float, Field(gt=0, le=86400)]
Bytes = Annotated[int, Field(ge=1 << 10, le=1 << 40)]

DEFAULT_QUEUE: Final = "default"


class JobSettings(Section):
    """How many jobs run at once, how long, and what is kept of them."""

    places: Annotated[int, Field(ge=1, le=1000)] = 2  # of the queue `default`: so many at once
    timeout_s: Annotated[int, Field(ge=1, le=30 * 86400)] = 86400  # where a job names no limit
    timeout_most_s: Annotated[int, Field(ge=1, le=30 * 86400)] = 30 * 86400
    start_within_s: Seconds = 120.0  # a kernel that has not answered by then never will
    grace_s: Seconds = 10.0  # from being asked to end until being killed
    look_every_s: Seconds = 0.5  # how often a running job's progress is read
    keep_days: Annotated[int, Field(ge=1, le=3650)] = 90  # finished jobs, their logs and outputs
    most_notebook: Bytes = 20 << 20  # of a submitted notebook
    most_log: Bytes = 50 << 20  # what a job says beyond it is not kept
    most_output: Bytes = 20 << 20  # of all cells' outputs together
    kernels: tuple[
        str, ...
    ] = ()  # kernels that environments may bring, beside those of the platform
