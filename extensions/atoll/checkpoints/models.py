"""What the checkpoints capability says on the wire: servers as the platform keeps them, and checkpoints."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, NewType

from pydantic import BaseModel, Field

CheckpointId = NewType("CheckpointId", str)
Digest = NewType("Digest", str)
"""`sha256:` and 64 hex digits: an image manifest's digest, which is what names an environment."""

LAST = "last"
"""The environment a server stopped with (or is set to go back to)."""
BASE = "base"
"""The base alone: a fresh start."""

Principal = Annotated[
    str,
    Field(
        pattern=r"^(everyone|user:.{1,255}|group:.{1,255})$",
        description="`user:NAME`, `group:NAME`, or `everyone`",
    ),
]
"""Whom something is shared with."""

EnvironmentChoice = Annotated[
    str, Field(pattern=r"^(last|base|sha256:[0-9a-f]{64})$", description="last, base, or a digest")
]


NodeName = Annotated[str, Field(pattern=r"^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$")]
"""A node's name: what Kubernetes allows, a DNS subdomain."""
ContainerName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*(/[A-Za-z0-9_.:-]+){0,2}$", max_length=400)
]
"""A container as its runtime's id, or as namespace/pod/container."""
ImageByDigest = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./:-]{0,400}@sha256:[0-9a-f]{64}$")
]
"""An image reference with its digest."""


SaveEvery = Annotated[int, Field(ge=0, le=30 * 86400)]
"""Seconds after which what a running server changed is saved by itself; 0: never."""


class ServerTarget(StrEnum):
    """What is wanted of a server's environment."""

    RUNNING = "running"
    SAVED = "saved"


class ServerStatus(StrEnum):
    """What a server's environment is."""

    FRESH = "fresh"  # nothing of it exists yet
    PREPARING = "preparing"  # being restored, or created from the base
    PREPARED = "prepared"  # the hub may start the server in it
    RUNNING = "running"
    UNSAVED = "unsaved"  # ended, and not saved yet (or its save failed and is retried)
    SAVING = "saving"
    SAVED = "saved"


class Progress(BaseModel):
    """How far long work is, in bytes; `total` is 0 while it is unknown."""

    done: int = 0
    total: int = 0


class PackageKind(StrEnum):
    """Who installed a package."""

    PYTHON = "python"
    CONDA = "conda"
    SYSTEM = "system"


class Package(BaseModel):
    """A change of one package; `before` is None where added, `after` None where removed."""

    name: str
    before: str | None = None
    after: str | None = None
    kind: PackageKind = PackageKind.PYTHON


class DirectoryChange(BaseModel):
    """What changed below one top directory of the environment: regular files and their bytes."""

    path: str
    files: int
    size: int


class Changes(BaseModel):
    """What differs between an environment and another: packages, and everything else by directory."""

    packages: list[Package] = []
    directories: list[DirectoryChange] = []
    files: int = 0
    size: int = 0

    @property
    def count(self) -> int:
        """What the status bar counts: packages changed, and directories that hold no package."""
        return len(self.packages) + len(self.directories)


class LeftOut(BaseModel):
    """Something that is not in the checkpoint, and why."""

    path: str
    reason: str


class CheckpointStatus(StrEnum):
    """The states of a checkpoint; the last three are final."""

    REQUESTED = "requested"
    SCANNING = "scanning"
    COPYING = "copying"
    PUBLISHING = "publishing"
    READY = "ready"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether nothing will change any more."""
        return self in (CheckpointStatus.READY, CheckpointStatus.REFUSED, CheckpointStatus.FAILED)


class Trigger(StrEnum):
    """What asked for a checkpoint."""

    STOP = "stop"
    USER = "user"
    JOB = "job"
    REBASE = "rebase"  # onto a newer base, by a job; no server was saved
    AUTOMATIC = "automatic"  # nobody: a running server had changed for a while


class Checkpoint(BaseModel):
    """The act and the record of saving a server as an environment."""

    id: CheckpointId
    user: str
    server: str  # JupyterHub's name; empty for the default server
    trigger: Trigger
    note: str = ""
    pinned: bool = False
    status: CheckpointStatus
    reason: str | None = None  # machine-readable, where it waits or failed
    message: str | None = None  # the same for people
    progress: Progress = Progress()
    digest: Digest | None = None
    parent: Digest | None = None
    base: Digest | None = None
    base_name: str = ""
    platform_version: str | None = None  # that its base was made with, where that is known
    too_old: str | None = None  # why no server starts from it any more; None where one does
    current: bool = False  # the one its server continues from
    left: bool = False  # of a stop that its server went on without, since its node is silent
    layer_size: int = 0  # bytes this checkpoint added, compressed
    size: int = 0  # bytes over the base, compressed
    changes: Changes | None = None  # against the base
    left_out: list[LeftOut] = []
    job: str | None = None  # the id of the job that installs, where it is a rebase
    shared_with: list[Principal] = []  # who else may start from it; its owner alone is told
    created_at: datetime
    finished_at: datetime | None = None


class CheckpointRequest(BaseModel):
    """Save a server now; the caller's own running server where none is named."""

    server: str | None = None  # `-` or empty for the default server
    note: Annotated[str, Field(max_length=500)] = ""


class CheckpointEdit(BaseModel):
    """Change what people may change of a checkpoint."""

    note: Annotated[str, Field(max_length=500)] | None = None
    pinned: bool | None = None


class Server(BaseModel):
    """A server's environment as the platform keeps it."""

    user: str
    name: str
    target: ServerTarget
    status: ServerStatus
    version: int  # grows with every change; long-polls wait for the next
    reason: str | None = None
    message: str | None = None
    progress: Progress = Progress()
    environment: Digest | None = None  # what it was last saved as or started from
    continues_from: Digest | None = None  # what the next start begins from, where it differs
    base_name: str = ""
    saved_at: datetime | None = None
    unsaved: Changes | None = None  # since `environment`, as last seen
    ended_why: str | None = None  # the last time, where nobody stopped it: a sentence
    failed_start: bool = False  # the last start never became ready


class StartRequest(BaseModel):
    """The hub is about to start a server: prepare its environment."""

    environment: EnvironmentChoice = LAST
    profile: str = ""
    contained: bool = False  # it runs in a container on a node: no directory is prepared
    # what changes in it is saved by itself so often; 0: never; None: as the service does by default
    save_every_s: SaveEvery | None = None
    # what turned out not to start, as where its image cannot be pulled: the next best is chosen
    without: Annotated[list[Digest], Field(max_length=20)] = []


class Place(BaseModel):
    """Where a server's container is, and the image that it was started from."""

    node: NodeName
    container: ContainerName
    image: ImageByDigest


class Started(BaseModel):
    """The hub started the server for the preparation `start_id`; `place` is its container's."""

    start_id: str
    place: Place | None = None


class Ended(BaseModel):
    """The hub ended the server of the start `start_id`; None where it does not know which."""

    start_id: str | None = None


class Preparation(BaseModel):
    """How a start stands. While `ready` is false the hub shows `message` and asks again.

    `variables` are the process's environment variables (PATH, VIRTUAL_ENV, JUPYTER_PATH, …);
    `ATOLL_SERVER_START=start_id` is among them: it marks every process of this start.
    `fallback` says so when it is not the environment that was asked for. Where it is `contained`
    there is no path: it starts from the image `environment`, from the profile's where that is None;
    `image` is that image as nodes pull it, `architecture` what it was made for where that is known
    (`amd64`), and `hold_token` what its pod's atoll-hold says who it is by.
    """

    start_id: str
    ready: bool
    version: int
    message: str = ""
    progress: Progress = Progress()
    path: str = ""
    variables: dict[str, str] = {}
    environment: Digest | None = None
    fallback: str | None = None
    contained: bool = False
    image: str | None = None
    architecture: str | None = None
    hold_token: Annotated[str, Field(repr=False)] = ""


class Hold(BaseModel):
    """Whether a pod that is being deleted may go; it is asked again while it may not."""

    release: bool


class RestoreRequest(BaseModel):
    """Go back: the server's next start begins from this checkpoint (None undoes a choice)."""

    stop: bool = False  # also stop the running server now (it is saved first)


class OrphanKind(StrEnum):
    """What in a cluster may belong to nobody any more."""

    POD = "pod"
    VOLUME = "volume"


class Orphan(BaseModel):
    """A pod or a volume claim, whose it was, and why nobody looks after it."""

    kind: OrphanKind
    namespace: str
    name: str
    user: str
    server: str = ""
    reason: str
