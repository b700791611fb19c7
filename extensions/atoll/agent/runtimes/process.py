"""A living process's own view, where no runtime that we know can be asked: named by its pid."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from atoll.agent.errors import BaseGoneError, NoContainerError
from atoll.agent.runtimes.container import Base, Container, ImageReference, State
from atoll.agent.runtimes.mounts import PROC, id_map, mounts_of, root_overlay, targets


class Processes:
    """Containers by the pid of a process in them; nothing is known of their images. See `Runtime`."""

    def __init__(self, *, proc: Path = PROC) -> None:
        self._proc = proc

    def find(self, container: str) -> Container:
        """The container that the process of this pid runs in."""
        if not container.isdecimal():
            raise NoContainerError(f"{container!r} is no pid.", hint="Give a process's number.")
        pid = int(container)
        mounts = mounts_of(pid, proc=self._proc)
        overlay = root_overlay(mounts)
        return Container(
            runtime="process",
            id=container,
            name=container,
            state=State.RUNNING,
            pid=pid,
            image=ImageReference(""),
            snapshotter="overlay",
            upper=overlay.upper,
            lowers=overlay.lowers,
            targets=targets(mounts),
            uids=id_map(pid, "uid_map", proc=self._proc),
            gids=id_map(pid, "gid_map", proc=self._proc),
        )

    def base(self, container: Container) -> AbstractContextManager[Base]:
        """Raises `BaseGoneError`: a mount does not say which image it is of."""
        raise BaseGoneError(
            f"Of the process {container.id} it is not known which image it runs.",
            hint="Name its container runtime; what it changed can be shown all the same.",
        )

    def close(self) -> None:
        """Nothing is open in between."""
