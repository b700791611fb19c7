"""From a container's writable layer to layers in a store: one pass at rest, two around a cut when live."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from atoll import oci
from atoll.agent.aside import Aside
from atoll.agent.cgroups import freezer_of
from atoll.agent.errors import ContainerRemovedError, NoContainerError
from atoll.agent.freeze import frozen
from atoll.agent.mappings import clean_mappings
from atoll.agent.policy import why_left_out
from atoll.agent.runtimes.container import Container, Runtime
from atoll.agent.secret_scan import SecretScan
from atoll.oci.attributes import IdMaps
from atoll.oci.overlay import OverlaySource

DELTA: Final = 64 << 20
"""Logical bytes that a cut may have to read: a fraction of a second, and kept in memory."""
ROUNDS: Final = 3
"""Passes before the cut at most: a container that writes faster than it is read never gets there."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a container is to be saved."""

    shared: bool = False  # others may use the image: what looks like a secret is refused
    setuid: bool = True
    limits: oci.Limits = oci.DEFAULT_LIMITS
    progress: oci.Progress | None = None
    cancelled: oci.Cancelled | None = None


@dataclass(slots=True)
class Copied:
    """The layers made, in their order, and what became of their sources."""

    layers: list[oci.LayerResult] = field(default_factory=list)
    left_out: tuple[oci.LeftOut, ...] = ()
    torn: tuple[bytes, ...] = ()
    secrets: dict[bytes, str] = field(default_factory=dict)
    frozen_s: float = 0.0


class Copy:
    """The copying of one container into one store."""

    def __init__(self, container: Container, store: oci.Store, wishes: Wishes) -> None:
        self._container = container
        self._store = store
        self._wishes = wishes
        self._exclude = why_left_out(container)
        self._done = 0  # logical bytes of the layers before the one at hand
        self._last: OverlaySource | None = None
        self._result = Copied()

    def at_rest(self) -> Copied:
        """One pass; exact, since nothing in the container can write."""
        self._pass(self._store)
        return self._result

    def live(self, state: Path) -> Copied:
        """Passes while it runs, then a cut of what changed since; raises `FreezeError`."""
        freezer = freezer_of(self._container.cgroup or "", pid=self._container.pid)
        for _ in range(ROUNDS):
            self._pass(self._store, begun=lambda: clean_mappings(freezer, self._container.upper))
            if self._delta() <= DELTA:
                break
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = Aside(self._store, state)
        try:
            with frozen(freezer, state) as cut, _unhindered():
                self._pass(aside)
            self._result.frozen_s = cut.seconds
            aside.flush()
        finally:
            aside.close()
        return self._result

    def _pass(self, store: oci.Store, begun: Callable[[], object] | None = None) -> None:
        """One layer of what changed since the pass before."""
        source = self._source()
        wishes = self._wishes
        scan = SecretScan(source, self._result.secrets, refuse=wishes.shared, begun=begun)
        before = self._done
        layer = oci.write_layer(
            scan,
            store,
            progress=None if wishes.progress is None else lambda done: self._tell(before + done),
            cancelled=wishes.cancelled,
            limits=wishes.limits,
        )
        self._done += layer.size
        self._last = source
        if layer.entries:
            self._result.layers.append(layer)
        self._result.left_out, self._result.torn = layer.left_out, layer.torn

    def _source(self) -> OverlaySource:
        """Of what changed since the last pass."""
        return source_of(self._container, self._wishes, since=self._last, exclude=self._exclude)

    def _delta(self) -> int:
        """Logical bytes that have changed since the last pass, as of now."""
        return sum(entry.size for entry in self._source().entries())

    def _tell(self, done: int) -> None:
        if self._wishes.progress is not None:
            self._wishes.progress(done)


def source_of(
    container: Container,
    wishes: Wishes | None = None,
    *,
    since: OverlaySource | None = None,
    exclude: oci.Exclude | None = None,
) -> OverlaySource:
    """What the container changed of its image, or since the source `since` was read to its end."""
    wishes = wishes or Wishes()
    return OverlaySource(
        container.upper,
        container.lowers,
        since=since.index() if since else None,
        opaque=since.opaque if since else frozenset(),
        exclude=exclude or why_left_out(container),
        ids=IdMaps(container.uids, container.gids) if container.uids else None,
        setuid=wishes.setuid,
        limits=wishes.limits,
    )


@contextmanager
def still_there(runtime: Runtime, container: Container) -> Iterator[None]:
    """Raises `ContainerRemovedError` at the end where the container was removed meanwhile.

    Runtimes forget a container (or say that it is going) before they delete its layer: while they
    know it, and the same directory is in its place, everything of it was there.
    """
    try:
        before = container.upper.lstat()
    except OSError as error:
        raise _removed(container) from error
    try:
        yield
    except (oci.SourceError, OSError) as error:
        if _in_place(runtime, container, before):
            raise
        raise _removed(container) from error
    if not _in_place(runtime, container, before):
        raise _removed(container)


def _in_place(runtime: Runtime, container: Container, before: os.stat_result) -> bool:
    try:
        now = runtime.find(container.id)
        return now.upper == container.upper and os.path.samestat(now.upper.lstat(), before)
    except (NoContainerError, ContainerRemovedError, FileNotFoundError):
        return False


def _removed(container: Container) -> ContainerRemovedError:
    return ContainerRemovedError(
        f"The container {container.id} was removed while it was being saved.",
        hint="Nothing was published; the last checkpoint is still there.",
    )


@contextmanager
def _unhindered() -> Iterator[None]:
    """At normal priority (of this thread, and those it starts) as long as somebody stands still."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    if before <= 0 or os.geteuid() != 0:
        yield
        return
    os.setpriority(os.PRIO_PROCESS, 0, 0)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)
