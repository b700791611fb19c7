"""What the jobs capability says on the wire: jobs, what is asked for, and queues."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, NewType

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

JobId = NewType("JobId", str)

CAPTURED_MOST: Final = 40 << 20
"""Bytes of files that are ever captured for one job, whatever an operator allows."""

CAPTURED_COUNT_MOST: Final = 1000
"""Files that are ever captured for one job."""

RETRIES_MOST: Final = 10
"""How often a job that fails is ever run again by itself."""

Notebook = dict[str, JsonValue]
"""A notebook document (nbformat 4), as JSON."""

Cpu = Annotated[float, Field(ge=0.01, le=10_000, allow_inf_nan=False)]
Memory = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,8}[KMGT]$")]
"""Such as `4G`, in powers of 1024, as JupyterHub reads it."""


class JobTarget(StrEnum):
    """What is wanted of a job."""

    DONE = "done"
    STOPPED = "stopped"


class JobStatus(StrEnum):
    """The states of a job, in order; the last three are final."""

    QUEUED = "queued"
    ADMITTED = "admitted"
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def final(self) -> bool:
        """Whether nothing will change any more."""
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.STOPPED)


class Resources(BaseModel):
    """What a job asks for, where jobs run in a cluster; what is not said is the operator's default."""

    cpu: Cpu | None = None
    memory: Memory | None = None
    gpu: Annotated[int, Field(ge=0, le=1024)] | None = None


class ResourceLimits(BaseModel):
    """What a job gets that asks for nothing, and the most that one may ask for."""

    cpu: Cpu
    cpu_most: Cpu
    memory: Memory
    memory_most: Memory
    gpu_most: int = 0


class CapturedFile(BaseModel):
    """A file that a job is given, as it is at the submission."""

    model_config = ConfigDict(val_json_bytes="base64", ser_json_bytes="base64")

    path: Annotated[
        str,
        Field(
            min_length=1, max_length=1000, description="from where `folder` begins, too; `a/b.csv`"
        ),
    ]
    content: Annotated[bytes, Field(description="base64")]
    executable: bool = False


class JobFile(BaseModel):
    """A file that a job was given."""

    path: str  # relative to the home, as the job's `folder` is
    size: int


class FileCount(BaseModel):
    """How many files a job was given, and their bytes."""

    count: int = 0
    size: int = 0


class JobRequest(BaseModel):
    """Run a notebook as a job."""

    name: Annotated[str, Field(max_length=200)] = ""  # the notebook's file name, for people
    notebook: Notebook
    folder: Annotated[
        str,
        Field(
            max_length=1000,
            description="where the notebook lies, relative to the user's home: the job starts there,"
            " in the home itself where there is no such folder",
        ),
    ] = ""
    parameters: dict[str, JsonValue] = {}
    environment: Annotated[
        str,
        Field(
            pattern=r"^(server|last|base|sha256:[0-9a-f]{64})$",
            description="`server`: saved on the spot where a server runs, else its last checkpoint;"
            " `last`: its last checkpoint; `base`; or a digest",
        ),
    ] = "server"
    server: str | None = None  # whose environment; the calling server's, else the default server's
    queue: str = "default"
    timeout_s: Annotated[int, Field(ge=1, le=30 * 86400)] | None = (
        None  # time limit; None: settings
    )
    retries: Annotated[
        int,
        Field(
            ge=0,
            le=RETRIES_MOST,
            description="how often it is run again, as a job of its own, where it fails",
        ),
    ] = 0
    resources: Resources = Resources()
    files: Annotated[
        list[CapturedFile],
        Field(
            max_length=CAPTURED_COUNT_MOST,
            description="with any, the job starts in a directory that holds just these,"
            " in the notebook's folder there",
        ),
    ] = []
    files_of: Annotated[
        str | None,
        Field(max_length=100, description="a job of the caller's: with its files, and no others"),
    ] = None


class Step(BaseModel):
    """How far a running job is: cell `cell` (from 1) of `cells`, code cells only."""

    cell: int = 0
    cells: int = 0


class Failure(BaseModel):
    """Why a job failed, where a cell did: the cell's number and the exception."""

    cell: int | None = None
    name: str = ""  # the exception's class, such as KeyError
    value: str = ""


class Job(BaseModel):
    """One run of a notebook."""

    id: JobId
    name: str
    folder: str = ""  # relative to the user's home, or among its files; where it starts
    user: str
    server: str | None = None  # whose environment it runs in, where a server's
    parameters: dict[str, JsonValue] = {}
    environment: str | None = None  # the digest, once known
    environment_choice: str = "server"
    queue: str = "default"
    target: JobTarget
    status: JobStatus
    reason: str | None = None  # machine-readable, while it waits and where it failed
    message: str | None = None  # the same for people
    position: int | None = None  # in the queue, from 1, while queued
    step: Step = Step()
    failure: Failure | None = None
    timeout_s: int
    retries: int = 0  # how often it is run again where it fails
    retry_of: JobId | None = None  # the job that failed before, where this one runs it again
    retried_by: JobId | None = None  # the job that runs it again, where it failed
    resources: Resources = Resources()
    resources_unused: bool = False  # where jobs use what their machine has, whatever they ask for
    files: FileCount = FileCount()
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    datasets: list[str] = []  # ids of the datasets it read


class DatasetName(BaseModel):
    """Of a dataset what a job's facts have of it."""

    name: str


class LogChunk(BaseModel):
    """A piece of a job's log; ask again from `next_offset` (bytes) until `complete`."""

    text: str
    next_offset: int
    complete: bool


class Parameter(BaseModel):
    """A parameter found in a notebook's cell tagged `parameters`."""

    name: str
    default: JsonValue = None
    source: str  # the default as Python source
    type: str  # int, float, str, bool, list, dict, None or other
    help: str = ""


class Inspection(BaseModel):
    """What a notebook's run form is made from."""

    parameters: list[Parameter] = []
    kernel: str = ""
    code_cells: int = 0
    last_values: dict[str, JsonValue] = {}  # of the caller's last job of that name
    resources: ResourceLimits | None = None  # None: jobs use what their machine has


class InspectRequest(BaseModel):
    """Inspect a notebook before it is submitted."""

    name: str = ""
    folder: str | None = None  # as a job's; without it the last values are those of any of the name
    notebook: Notebook


class Queue(BaseModel):
    """An ordered line: how many may run at once, how many do, how many wait."""

    name: str
    places: int
    running: int
    queued: int
