"""What the service and the agent of a node say to each other about saves."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from atoll.checkpoints.models import Changes, CheckpointId, CheckpointStatus, Digest

MOST_LISTED = 1000
"""Of left-out paths, likely secrets and torn files in one result; an agent cuts its lists."""
MOST_PACKAGES = 20_000
RESULT_MOST = 4 << 20
"""Bytes of a result, and of anything else that an agent sends."""

Count = Annotated[int, Field(ge=0, le=1 << 62)]


def plain(text: str) -> str:
    """The text with what a terminal would obey made visible."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def _plain_changes(changes: Changes) -> Changes:
    """The same of all their names; raises ValueError for more than people would look at."""
    if len(changes.packages) + len(changes.directories) > MOST_PACKAGES:
        raise ValueError(f"more than {MOST_PACKAGES} changes")
    for package in changes.packages:
        package.name = plain(package.name)
        package.before = plain(package.before) if package.before is not None else None
        package.after = plain(package.after) if package.after is not None else None
    for directory in changes.directories:
        directory.path = plain(directory.path)
    return changes


Path = Annotated[str, Field(max_length=4096), AfterValidator(plain)]
Sentence = Annotated[str, Field(max_length=2000), AfterValidator(plain)]
Short = Annotated[str, Field(max_length=200), AfterValidator(plain)]
Lease = Annotated[str, Field(max_length=64)]
AnyDigest = Annotated[Digest, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class PushToken(BaseModel):
    """A token for one repository; `expires` is in seconds since 1970."""

    value: str = Field(repr=False)
    expires: float


class LayoutTarget(BaseModel):
    """An image layout directory: the service and the agent are on one machine."""

    kind: Literal["layout"] = "layout"
    path: str


class RegistryTarget(BaseModel):
    """A repository of a registry, and the tag that the image gets there.

    `token` is None where the registry asks for none.
    """

    kind: Literal["registry"] = "registry"
    address: str
    repository: str
    tag: str
    plain_http: bool = False
    token: PushToken | None = None


Target = Annotated[LayoutTarget | RegistryTarget, Field(discriminator="kind")]


class SaveLimits(BaseModel):
    """The most of a save: logical bytes, entries, seconds of a layer; `room` is left of the user's quota."""

    size: int
    entries: int
    room: int | None = None
    seconds: float = 86400.0


class SaveOrder(BaseModel):
    """A save for an agent to carry out, leased to it: `progress` within `lease_s` renews the lease."""

    kind: Literal["save"] = "save"
    checkpoint: CheckpointId
    lease: str
    lease_s: float
    server: str = ""  # the id of whose it is
    container: str
    live: bool  # it may be running; at rest otherwise, and refused by the agent where it is not
    image: str  # what the container was started from, by digest
    parent: Digest  # the digest of that
    base: Digest  # the image under all checkpoints: the parent, or below it
    layers: list[AnyDigest] = []  # of the parent, those over the base
    target: Target
    limits: SaveLimits
    shared: bool = False  # others may use the image: what looks like a secret is refused
    most_layers: int = 8  # over the base; then they are merged
    secrets: list[str] = []  # in these layers, by path: where one is gone, they are merged, too
    compression: Literal["auto", "zstd", "gzip"] = "auto"  # the best that the node's runtime reads
    setuid: bool = True  # setuid and setgid bits and file capabilities are saved, too


class LookOrder(BaseModel):
    """A running container to look at: what it has that is not saved. It is not frozen, nothing is leased."""

    kind: Literal["look"] = "look"
    server: str  # the id of whose it is
    container: str
    environment: Digest  # what it was started from, or last saved as
    entries: int  # most that are looked at


Order = Annotated[SaveOrder | LookOrder, Field(discriminator="kind")]
"""What an agent may be told to do."""


class LookResult(BaseModel):
    """What a container has that is not saved; None where that cannot be told."""

    server: Annotated[str, Field(max_length=64)]
    environment: AnyDigest
    changes: Annotated[Changes, AfterValidator(_plain_changes)] | None = None
    seconds: Annotated[float, Field(ge=0, le=1e6)] = 0.0


class Phase(StrEnum):
    """What an agent is at."""

    SCANNING = "scanning"
    COPYING = "copying"
    PUBLISHING = "publishing"

    @property
    def status(self) -> CheckpointStatus:
        """The checkpoint's status meanwhile."""
        return CheckpointStatus(self.value)


class ProgressReport(BaseModel):
    """How far a save is, in logical bytes; `token_wanted` asks for a new push token.

    `waits` is what holds it up, as while the registry is away.
    """

    lease: Lease
    phase: Phase
    done: Count = 0
    total: Count = 0
    waits: Sentence = ""
    token_wanted: bool = False


class ProgressAnswer(BaseModel):
    """What the agent is to know while it works; `cancel`: stop, nobody wants it any more."""

    cancel: bool = False
    token: PushToken | None = None


class NotInIt(BaseModel):
    """A path that is not in the image, and why."""

    path: Path
    reason: Sentence


class ImageSaved(BaseModel):
    """The image is in its target. Sizes are not told: the manifest says them."""

    outcome: Literal["saved"]
    digest: AnyDigest
    added: Annotated[int, Field(ge=0, le=127)]  # layers, on top; 0: nothing had changed
    files: Count = 0  # in the new layers
    size: Count = 0  # logical bytes of them
    # against the base, where the agent looked
    changes: Annotated[Changes, AfterValidator(_plain_changes)] | None = None
    packages: dict[Short, Short] = Field(default_factory=dict, max_length=MOST_PACKAGES)
    left_out: list[NotInIt] = Field(default_factory=list, max_length=MOST_LISTED)
    secrets: list[Path] = Field(default_factory=list, max_length=MOST_LISTED)
    torn: list[Path] = Field(default_factory=list, max_length=MOST_LISTED)
    frozen_ms: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    seconds: Annotated[float, Field(ge=0, le=1e9)] = 0.0


class NotSaved(BaseModel):
    """No image came about. `refused`: by a rule; else it failed. `retry`: trying again may help."""

    outcome: Literal["refused", "failed", "cancelled"]
    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    message: Sentence
    hint: Sentence | None = None
    retry: bool = True


class SaveResult(BaseModel):
    """How a save ended."""

    lease: Lease
    result: Annotated[ImageSaved | NotSaved, Field(discriminator="outcome")]
