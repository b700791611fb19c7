"""The settings of datasets: `[datasets]` in the settings file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, JsonValue, field_validator, model_validator

from atoll.datasets.models import EVERYONE, Principal
from atoll.datasets.readers import readable
from atoll.kit.errors import InvalidError
from atoll.kit.settings import Section

Seconds = Annotated[float, Field(gt=0, le=604_800)]
Rows = Annotated[int, Field(ge=1, le=1_000_000)]
DatasetName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*([._-][a-z0-9]+)*$", max_length=63)]
MiB = Annotated[int, Field(ge=1, le=1 << 24)]


def _listed(value: object) -> object:
    """An environment variable lists folders as `PATH` does."""
    return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value


class Offered(Section):
    """A dataset that the platform itself offers."""

    path: str = Field(
        min_length=1,
        max_length=4096,
        description="Where it is: in one of `roots`, or below `data` in the home.",
    )
    table: Annotated[str, Field(max_length=255)] | None = Field(
        default=None, description="The table, of a SQLite database."
    )
    format: Annotated[str, Field(max_length=40)] | None = Field(
        default=None, description="`csv`, `parquet` or `sqlite`; left out: found out by looking."
    )
    options: dict[str, JsonValue] = Field(
        default={}, description="How a CSV is read: `delimiter`, `encoding`, `header`."
    )
    description: Annotated[str, Field(max_length=2000)] = Field(
        default="", description="What it is, for people."
    )
    grants: Annotated[tuple[Principal, ...], Field(max_length=1000)] = Field(
        default=(EVERYONE,),
        description="Who may use it, when it is registered: `everyone`, `user:NAME`, `group:NAME`.",
    )

    @field_validator("format")
    @classmethod
    def _readable(cls, format_: str | None) -> str | None:
        try:
            return readable(format_)
        except InvalidError as error:
            raise ValueError(str(error).removesuffix(".")) from error


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

    # Datasets that the platform itself offers, by their names.
    offered: dict[DatasetName, Offered] = Field(default_factory=dict)

    @field_validator("roots")
    @classmethod
    def _absolute(cls, roots: tuple[Path, ...]) -> tuple[Path, ...]:
        for root in roots:
            if not root.is_absolute():
                raise ValueError(f"{root} is not an absolute path")
        return roots

    @model_validator(mode="after")
    def _in_the_roots(self) -> Self:
        for name, one in self.offered.items():
            path = Path(os.path.normpath(one.path))
            if path.is_absolute() and not any(path.is_relative_to(root) for root in self.roots):
                raise ValueError(f"offered.{name}.path: {one.path} is in none of datasets.roots")
        return self
