"""What the service and the process in a job's pod say to each other."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, JsonValue

Count = Annotated[int, Field(ge=0, le=1_000_000)]


class Claim(BaseModel):
    """Who wants to take the job."""

    claimant: Annotated[
        str,
        Field(
            pattern=r"^[0-9a-f]{32,64}$",
            description="a secret that the process made for itself; it goes into every other call",
        ),
    ]
    pod: Annotated[str, Field(max_length=100, description="the pod's UID")] = ""


class Order(BaseModel):
    """What is to be done."""

    name: str  # of the notebook, for people
    kernel: str
    language: str
    parameters: dict[str, JsonValue]
    timeout_s: int
    grace_s: float  # from being asked to end until ending whatever still runs
    start_within_s: float
    folder: str  # where the notebook lies, relative to the home
    memory: str  # the limit, such as 4G
    most_log: int
    most_output: int
    deliver_within_s: float  # how long to wait for the service with what was not delivered
    log_at: int  # where its log begins: pods before it may have said something
    notebook: str  # the document, JSON
    files: int = 0  # how many it was given: `GET files` has them


class Progress(BaseModel):
    """How far it is; without `cells` only that it is alive."""

    cell: Count = 0
    cells: Count | None = None


class Heard(BaseModel):
    """How many bytes of the log the service has: where the next piece begins."""

    next: int
