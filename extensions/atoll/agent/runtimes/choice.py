"""Which runtime a container belongs to: the one that was named, or the first on this node that knows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final

from atoll.agent.errors import (
    NoContainerError,
    RootlessError,
    RuntimeUnavailableError,
    SnapshotterError,
)
from atoll.agent.runtimes import docker, storage
from atoll.agent.runtimes.container import Container, Runtime
from atoll.agent.runtimes.containerd import NAMESPACE, Containerd
from atoll.agent.runtimes.process import Processes
from atoll.kit.errors import AtollError, InvalidError


class RuntimeName(StrEnum):
    """The runtimes that the agent knows."""

    AUTO = "auto"
    CONTAINERD = "containerd"
    DOCKER = "docker"
    PODMAN = "podman"  # and CRI-O, whose store is the same
    PROCESS = "process"  # by its pid; only where it is named


_PLACES: Final = {
    RuntimeName.CONTAINERD: (
        Path("/run/containerd/containerd.sock"),
        Path("/run/k3s/containerd/containerd.sock"),
    ),
    RuntimeName.DOCKER: (docker.ADDRESS,),
    RuntimeName.PODMAN: (storage.ROOT,),
}
_NAMESPACES: Final = (NAMESPACE, "default")


@contextmanager
def runtime_of(
    container: str,
    name: RuntimeName = RuntimeName.AUTO,
    *,
    address: Path | None = None,
    namespace: str | None = None,
) -> Iterator[tuple[Runtime, Container]]:
    """The container's runtime, and the container.

    Raises `NoContainerError` where none knows it, `RuntimeUnavailableError` where none is here, and
    what `find` raises.
    """
    if address is not None and name is RuntimeName.AUTO:
        raise InvalidError("--address needs --runtime.", hint="Whose address is it?")
    runtime, found = _found(container, _candidates(name, address, namespace))
    try:
        yield runtime, found
    finally:
        runtime.close()


def _found(container: str, made: Iterable[Callable[[], Runtime]]) -> tuple[Runtime, Container]:
    """The first that knows it; else what the first said that did not."""
    first: AtollError | None = None
    for make in made:
        try:
            runtime = make()
        except (RuntimeUnavailableError, RootlessError, SnapshotterError) as error:
            first = first or error
            continue
        try:
            return runtime, runtime.find(container)
        except (NoContainerError, RuntimeUnavailableError) as error:
            runtime.close()
            first = first or error
        except BaseException:
            runtime.close()
            raise
    raise first or RuntimeUnavailableError(
        "No container runtime was found on this node.",
        hint="Name it and its socket: --runtime containerd --address /run/….sock",
    )


def _candidates(
    name: RuntimeName, address: Path | None, namespace: str | None
) -> Iterator[Callable[[], Runtime]]:
    if name is RuntimeName.PROCESS:
        yield Processes
    for kind, usual in _PLACES.items():
        if name not in (RuntimeName.AUTO, kind):
            continue
        places = (address,) if address is not None else [path for path in usual if path.exists()]
        for place in places:
            if kind is RuntimeName.DOCKER:
                yield partial(docker.Docker, place)
            elif kind is RuntimeName.PODMAN:
                yield partial(storage.Storage, place)
            else:
                spaces = (namespace,) if namespace else _NAMESPACES
                yield from (partial(Containerd, place, space) for space in spaces)
