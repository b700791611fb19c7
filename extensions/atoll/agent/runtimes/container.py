"""What the agent knows of a container, whatever runtime it belongs to, and what a runtime offers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol

from atoll import oci
from atoll.oci.image import Compression


class State(StrEnum):
    """What a container is doing."""

    CREATED = "created"  # never started
    RUNNING = "running"
    PAUSED = "paused"  # frozen by somebody else
    EXITED = "exited"

    @property
    def at_rest(self) -> bool:
        """Whether nothing in the container can write."""
        return self is not State.RUNNING


class IdRange(NamedTuple):
    """`size` ids from `inside` on in the container are those from `outside` on on the node."""

    inside: int
    outside: int
    size: int


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image by the name the runtime knows it by; the digest is empty where it is not known."""

    name: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    """A container with its writable layer. Paths are the node's, but for `targets`."""

    runtime: str
    id: str
    name: str
    state: State
    pid: int | None  # of its first process; None where none runs
    image: ImageReference
    snapshotter: str
    upper: Path
    lowers: tuple[Path, ...]  # the topmost first
    targets: tuple[bytes, ...] = ()  # where something is mounted: relative paths inside
    uids: tuple[IdRange, ...] = ()  # empty: as on the node
    gids: tuple[IdRange, ...] = ()
    cgroup: str | None = None  # as in /proc/PID/cgroup, or in the runtime's records
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)


class Tars(Protocol):
    """A runtime's unpacked layers, which it can pack again byte for byte."""

    def tar(self, diff_id: str) -> Iterator[bytes]:
        """The layer as it was before it was compressed; raises `MissingError`, not verified."""


@dataclass(frozen=True, slots=True)
class Base:
    """The image a container was made from, and where its parts can be read."""

    config: oci.ImageConfig
    image: oci.Image | None = None  # None where the runtime keeps no manifest
    content: oci.Content | None = None  # packed layers, as far as the runtime keeps them
    tars: Tars | None = None
    digests: tuple[str, ...] = ()  # of manifests that the image may have in its registry
    readable: Compression = Compression.ZSTD  # the best that the runtime reads when it pulls


class Runtime(Protocol):
    """A container runtime on this node."""

    def find(self, container: str) -> Container:
        """The container of this id, beginning of an id, or name.

        Raises `NoContainerError`, `AmbiguousError`, `ContainerRemovedError`, `SnapshotterError`,
        `RuntimeUnavailableError`.
        """

    def base(self, container: Container) -> AbstractContextManager[Base]:
        """The container's own image, whose content stays as long as the context is open.

        Raises `BaseGoneError` where the runtime has lost it.
        """

    def close(self) -> None:
        """Ends the connection."""
