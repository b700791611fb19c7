"""What the datasets capability says on the wire: datasets, their schema, samples and grants."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, NewType

from pydantic import BaseModel, Field, JsonValue

DatasetId = NewType("DatasetId", str)

PLATFORM = ""
"""The owner of the datasets that belong to the platform rather than to a person."""

EVERYONE = "everyone"
"""The principal that stands for every user; others are `user:NAME` and `group:NAME`."""

Principal = Annotated[str, Field(pattern=r"^(everyone|user:.{1,255}|group:.{1,255})$")]
Principals = Annotated[list[Principal], Field(max_length=1000)]


class DatasetStatus(StrEnum):
    """What the platform knows of a dataset."""

    PROBING = "probing"
    READY = "ready"
    FAILED = "failed"  # no probe ever succeeded
    STALE = "stale"  # the last probe failed; schema and sample are of the one before


class Location(BaseModel):
    """Where a dataset's source is, and how it is read.

    `path` is a file or folder path for files. `table` names a table of a database file.
    `options` are the reader's own (CSV: delimiter, encoding, header).
    """

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    table: Annotated[str, Field(max_length=255)] | None = None
    options: dict[str, JsonValue] = {}


class Column(BaseModel):
    """A column: its type as DuckDB names it, and what the sample says of its values."""

    name: str
    type: str
    missing: float | None = None  # share of nulls in the sample, 0 to 1
    minimum: str | None = None
    maximum: str | None = None
    histogram: list[int] = []  # numbers only: counts in equal bins; few whole ones: per value


class PartitionKey(BaseModel):
    """A hive partition column and the values found (at most 1,000)."""

    name: str
    values: list[str]


class Dataset(BaseModel):
    """A name for data the platform can reach."""

    id: DatasetId
    name: str
    owner: str  # PLATFORM for the platform's own
    description: str = ""
    format: str | None = None  # csv, parquet, sqlite; None until probed
    location: Location | None = None  # None where the caller may not see it
    status: DatasetStatus
    reason: str | None = None
    message: str | None = None
    columns: list[Column] = []
    partitions: list[PartitionKey] = []
    rows: int | None = None  # None where counting is not cheap
    rows_exact: bool = True
    size: int | None = None  # bytes at the source
    source_modified_at: datetime | None = None
    probed_at: datetime | None = None  # of the last good probe
    created_at: datetime
    grants: list[Principal] = []


class DatasetRequest(BaseModel):
    """Register a dataset; it is probed at once."""

    name: str
    location: Location
    format: Annotated[str, Field(max_length=40)] | None = None  # None: found out by the probe
    description: Annotated[str, Field(max_length=2000)] = ""
    grants: Principals = []
    platform: bool = False  # owned by the platform: platform admins only


class DatasetChange(BaseModel):
    """Say anew where the source is and how it is read; it is probed at once.

    What is left out stays as it is. `location` is replaced as a whole.
    """

    location: Location | None = None
    format: Annotated[str, Field(max_length=40)] | None = None  # null: found out by the probe


class GrantRequest(BaseModel):
    """Who besides the owner may use the dataset; replaces the list."""

    grants: Principals


class Preview(BaseModel):
    """The first rows of the stored sample, values as JSON (dates and decimals as text).

    Long values are texts that end in `…`.
    """

    columns: list[Column]
    rows: list[list[JsonValue]]
    sampled: int  # rows in the stored sample
    cut: bool = False  # fewer rows are kept for previews than usual: they are long


class Access(BaseModel):
    """How the SDK reads the source directly, with the caller's own rights."""

    id: DatasetId
    name: str
    format: str
    location: Location
    columns: list[Column]
    partitions: list[PartitionKey]
    types_exact: bool = True  # False: of the source's beginning; later rows may need wider ones
