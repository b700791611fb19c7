"""Containers as plain directories: a saver that a test's agent has, and dies in where it is told to."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from atoll import oci
from atoll.agent.errors import NoContainerError
from atoll.agent.work import Work
from atoll.checkpoints.models import Changes, DirectoryChange
from atoll.checkpoints.node_models import ImageSaved, LookOrder, Phase

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def base_image(store: oci.LayoutStore) -> str:
    """The digest of an image for containers to start from."""
    return create(store, "base-notebook")


def create(store: oci.LayoutStore, name: str, labels: Mapping[str, str] | None = None) -> str:
    said = {"name": name, **(labels or {})}
    return oci.create_base(store, name, created=EPOCH, labels=said).digest


class DirectorySaver:
    """Saves `root/CONTAINER` as one layer over the image that the container started from.

    Or as the one layer over its base, where one of the order's secrets was removed: a file says so by its name.
    `root/hold-PHASE` makes it wait in that phase; `root/die-PHASE` kills the process in that phase, once.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.saved: list[str] = []

    def save(self, work: Work) -> ImageSaved:
        began = time.monotonic()
        order = work.order
        self._note(order.container)
        folder = self.root / order.container
        if not folder.is_dir():
            raise NoContainerError(f"There is no container {order.container}.")
        assert order.target.kind == "layout"
        store = oci.LayoutStore(Path(order.target.path))
        self._at(work, Phase.SCANNING)
        total = oci.changes(folder).size
        room = order.limits.room if order.limits.room is not None else order.limits.size
        limits = oci.Limits(size=min(order.limits.size, room), entries=order.limits.entries)
        self._at(work, Phase.COPYING, total)
        source = oci.DirectorySource(folder, owner=(0, 0), limits=limits)
        layer = oci.write_layer(source, store, cancelled=work.cancelled, limits=limits)
        self._at(work, Phase.PUBLISHING, total)
        digest, added = str(order.parent), 0
        if layer.entries:
            one = any((folder / f"{path}-is-gone").exists() for path in order.secrets)
            under = order.base if one else order.parent  # all that was below is gone by now
            image = oci.append_layer(store, under, layer, name=order.checkpoint, created=EPOCH)
            digest, added = image.digest, 1
        return ImageSaved(
            outcome="saved",
            digest=digest,
            added=added,
            size=layer.size,
            secrets=[path.name for path in folder.iterdir() if path.name == ".netrc"],
            seconds=time.monotonic() - began,
        )

    def look(self, order: LookOrder) -> Changes:
        """All files of the container count as unsaved."""
        folder = self.root / order.container
        if not folder.is_dir():
            raise NoContainerError(f"There is no container {order.container}.")
        with (self.root / "looks").open("a") as file:
            file.write(order.container + "\n")
        while (self.root / "hold-looking").exists():
            time.sleep(0.01)
        found = oci.changes(folder)
        if not found.files:
            return Changes()
        every = DirectoryChange(path="/srv", files=found.files, size=found.size)
        return Changes(directories=[every], files=found.files, size=found.size)

    def _note(self, container: str) -> None:
        with (self.root / "log").open("a") as file:
            file.write(container + "\n")

    def _at(self, work: Work, phase: Phase, total: int = 0) -> None:
        work.tell(phase, 0, total)
        with (self.root / "phases").open("a") as file:
            file.write(phase + "\n")
        deadly = self.root / f"die-{phase}"
        if deadly.exists():
            deadly.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        while (self.root / f"hold-{phase}").exists():
            if work.cancelled():
                raise oci.CancelledError("cancelled")
            time.sleep(0.01)
