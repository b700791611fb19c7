"""What the service asks of a probe, and what the probe answers: JSON between two processes."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import BaseModel, JsonValue

from atoll.datasets.locations import Allowed
from atoll.datasets.models import Column, Location, PartitionKey

ANSWER: Final = "answer.json"
"""The file in the probe's folder that holds its Answer."""


class Work(BaseModel):
    """Look at this source; the sample is written into the process's working directory."""

    location: Location
    format: str | None
    where: Allowed
    known: list[str]  # fingerprints: a source that has one of them need not be read again
    sample_rows: int
    preview_rows: int
    sample_most: int  # bytes
    scan_most: int
    scan_limit_s: float  # then the beginning has to do
    disk_most: int
    memory_most: int


class Outcome(BaseModel):
    """The source could be read, and this is what it is."""

    format: str
    columns: list[Column]
    partitions: list[PartitionKey]
    options: dict[str, JsonValue]
    rows: int | None
    rows_exact: bool
    size: int
    modified: datetime | None


class Refusal(BaseModel):
    """The source could not be read: why, for programs and for people."""

    reason: str
    message: str


class Answer(BaseModel):
    """One of `outcome` and `refusal`; neither where the source is as it was.

    `fingerprint` is None where the source could not be reached.
    """

    fingerprint: str | None = None
    outcome: Outcome | None = None
    refusal: Refusal | None = None
