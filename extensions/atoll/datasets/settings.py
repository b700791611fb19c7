"""The settings of datasets: `[datasets]` in the settings file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from atoll.kit.settings import Section

Seconds = Annotated[float, Field(gt=0, le=604_800)]
Rows = Annotated[int, Field(ge=1, le=1_000_000)]
MiB = Annotated[int, Field(ge=1, le=1 << 24)]


def _listed(value: object) -> object:
    """An environment variable lists folders as `PATH` does."""
    return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value


class DatasetSettings(Section):
    """Where sources may be, and what a probe may cost."""

    # Folders whose data every user may register, beside the platform's own `data`.
    roots: Annotated[tuple[Path, ...], BeforeValidator(_listed)] = ()
    probe_limit_s: Annotated[float, Field(gt=0, le=3600)] = 60.0  # then the probe is killed
    probes_at_once: Annotated[int, Field(ge=1, le=64)] = 2
    probe_memory_mb: Annotated[int, Field(ge=512, le=1 << 20)] = 2048  # of a probe
    probe_disk_mb: MiB = 8192  # what a packed or oddly encoded source may take while it is read
    scan_most_mb: MiB = 1024  # larger sources are sampled from their beginning, not read through
    sample_rows: Rows = 10_000
    sample_most_mb: MiB = 64  # the stored sample has fewer rows where they are long
    preview_rows: Annotated[int, Field(ge=1, le=10_000)] = 1000
    refresh_every_s: Seconds = 3600.0  # how often a source that was fine is looked at again
    retry_every_s: Seconds = 300.0  # how often one that was away is

    @field_validator("roots")
    @classmethod
    def _absolute(cls, roots: tuple[Path, ...]) -> tuple[Path, ...]:
        for root in roots:
            if not root.is_absolute():
                raise ValueError(f"{root} is not an absolute path")
        return roots
