"""From a container's writable layer to layers in a store: one pass at rest, two around a cut when live."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from atoll import oci
from atoll.agent.aside import Aside
from atoll.agent.cgroups import freezer_of
from atoll.agent.errors import ContainerRemovedError, ContainerRunningError, NoContainerError
from atoll.agent.freeze import LIMIT_S, frozen
from atoll.agent.leftovers import trial
from atoll.agent.mappings import clean_mappings, mapped_files
from atoll.agent.own import Merging
from atoll.agent.policy import why_left_out
from atoll.agent.priority import ask_for_slices, give_way
from atoll.agent.runtimes.container import Container, Runtime
from atoll.agent.secret_scan import SecretScan
from atoll.oci.attributes import IdMaps
from atoll.oci.image import Compression
from atoll.oci.index import Index
from atoll.oci.overlay import OverlaySource
from atoll.oci.overlay_changes import Scan, scan
from atoll.oci.partial import changed_anyway
from atoll.oci.watch import Watch, notices_writes

log = logging.getLogger(__name__)

DELTA: Final = 64 << 20
"""Logical bytes that a cut may have to read: a fraction of a second, and kept in memory."""
FEW: Final = 100
"""Files and directories likewise: each takes a tenth of a millisecond, and much more on a busy node."""
ROUNDS: Final = 3
"""Passes before the cut at most: a container that writes faster than it is read never gets there."""
_URGENT: Final = (-10, 0)
"""Priorities for the cut: a container that stands still waits for every other process on a busy node."""
_UNMERGED: Final = (
    *(oci.InvalidImageError, oci.UnsafeLayerError, oci.LimitError, oci.TooSlowError),
    *(oci.MissingError, oci.DigestError),
)
"""Why layers cannot become one although each by itself is good, or is not needed for this save."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a container is to be saved."""

    image: str = ""  # the digest of what the container was started from; empty: whatever it was
    own: frozenset[str] = frozenset()  # digests of the image's layers that are its user's
    most_layers: int = 0  # of these; then they become one. 0: they are left as they are
    secrets: frozenset[bytes] = frozenset()  # in these: where one is gone, they become one, too
    shared: bool = False  # others may use the image: what looks like a secret is refused
    setuid: bool = True
    compression: Compression | None = None  # None: the best that the container's runtime reads
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
    cut_ns: int = 0  # when the container stood still, where it was saved live
    merged: bool = False  # the first of the layers holds the image's own ones, too


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

    def at_rest(self, merging: Merging | None = None) -> Copied:
        """One pass; exact, since nothing in the container can write. With `merging` over the base."""
        if merging is None or not self._merged(merging, self._source(indexed=False)):
            self._pass(self._store, self._source(indexed=False))
        return self._result

    def live(self, state: Path, merging: Merging | None = None) -> Copied:
        """Passes while it runs, then a cut of what changed since; raises `FreezeError`."""
        freezer = freezer_of(self._container.cgroup or "", pid=self._container.pid)
        if merging is not None:
            self._merged(merging)
        with Watch() as watch:
            noticing = watch if _noticed(state) else None
            for _ in range(ROUNDS):
                self._pass(
                    self._store,
                    self._source(watch=noticing),
                    begun=lambda: clean_mappings(freezer, self._container.upper),
                )
                if self._is_little(noticing):
                    break
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
            aside = Aside(self._store, state)
            try:
                with _unhindered(), frozen(freezer, state) as cut:
                    self._result.cut_ns = time.time_ns()
                    cut_within = LIMIT_S if cut.ours else None  # nobody waits for us
                    self._pass(
                        aside, self._cut(noticing, mapped_files(freezer)), seconds=cut_within
                    )
                self._result.frozen_s = cut.seconds
                aside.flush()
            finally:
                aside.close()
        if self._result.merged and len(self._result.layers) == 1:  # nothing had changed
            self._result.layers.clear()
            self._result.merged = False
        return self._result

    def _merged(self, merging: Merging, top: oci.Source | None = None) -> bool:
        """The image's own layers as one, with `top`; whether that was possible."""
        try:
            layer = self._written(self._scanned(merging.source(top)), self._store)
        except _UNMERGED as error:
            log.info("the layers of %s do not become one: %s", self._container.id, error)
            self._result.secrets.clear()
            return False  # they stay as they are; what is wrong with the top, a pass says
        self._result.merged = True
        self._add(layer)
        return True

    def _pass(
        self,
        store: oci.Store,
        source: OverlaySource,
        begun: Callable[[], object] | None = None,
        seconds: float | None = None,
    ) -> None:
        """One layer of what changed since the pass before."""
        layer = self._written(self._scanned(source, begun), store, seconds)
        part = self._last is not None
        self._last = source
        self._add(layer, part=part)

    def _written(
        self, source: oci.Source, store: oci.Store, seconds: float | None = None
    ) -> oci.LayerResult:
        wishes, before = self._wishes, self._done
        limits = wishes.limits if seconds is None else replace(wishes.limits, seconds=seconds)
        return oci.write_layer(
            source,
            store,
            compression=wishes.compression or Compression.ZSTD,
            progress=None if wishes.progress is None else lambda done: self._tell(before + done),
            cancelled=wishes.cancelled,
            limits=limits,
            give_way=give_way,
        )

    def _add(self, layer: oci.LayerResult, *, part: bool = False) -> None:
        """Adds the layer; one of a `part` of the container says nothing of what the others left out."""
        self._done += layer.size
        if layer.entries:
            self._result.layers.append(layer)
        before = self._result.left_out if part else ()
        self._result.left_out = tuple(sorted({*before, *layer.left_out}))
        self._result.torn = layer.torn

    def _scanned(self, source: oci.Source, begun: Callable[[], object] | None = None) -> SecretScan:
        refuse = self._wishes.shared
        return SecretScan(source, self._result.secrets, refuse=refuse, begun=begun)

    def _source(self, watch: Watch | None = None, *, indexed: bool = True) -> OverlaySource:
        """Of what changed since the last pass."""
        return source_of(
            self._container,
            self._wishes,
            since=self._last,
            exclude=self._exclude,
            watch=watch,
            indexed=indexed,
        )

    def _cut(self, watch: Watch | None, mapped: Collection[bytes] = ()) -> OverlaySource:
        """Of what changed since the last pass, looking only where something happened.

        `mapped` are files that may have been written to through memory, which nothing tells of.
        """
        touched = watch.touched() if watch is not None else None
        if touched is None or self._last is None:
            return self._source()
        return source_of(
            self._container,
            self._wishes,
            since=self._last,
            exclude=self._exclude,
            index=changed_anyway(self._last.index(), mapped),
            only={*touched, *(path.rpartition(b"/")[0] for path in mapped)},
        )

    def _is_little(self, watch: Watch | None) -> bool:
        """Whether what has changed since the last pass, as of now, may be read while it is frozen."""
        size = number = 0
        for entry in self._cut(watch).entries():
            size, number = size + entry.size, number + 1
            if size > DELTA or number > FEW:
                return False
        return True

    def _tell(self, done: int) -> None:
        if self._wishes.progress is not None:
            self._wishes.progress(done)


def scan_of(container: Container, limits: oci.Limits = oci.DEFAULT_LIMITS) -> Scan:
    """How much there is to save, by names and sizes alone; raises `LimitError` with the numbers."""
    exclude = why_left_out(container)
    return scan(container.upper, exclude=exclude, limits=limits, give_way=give_way)


def source_of(
    container: Container,
    wishes: Wishes | None = None,
    *,
    since: OverlaySource | None = None,
    index: Index | None = None,
    exclude: oci.Exclude | None = None,
    watch: Watch | None = None,
    only: Collection[bytes] | None = None,
    indexed: bool = True,
) -> OverlaySource:
    """What the container changed of its image, or since the source `since` was read to its end.

    `index` takes the place of that source's own. See `OverlaySource` for the others.
    """
    wishes = wishes or Wishes()
    return OverlaySource(
        container.upper,
        container.lowers,
        since=index or (since.index() if since else None),
        opaque=since.opaque if since else frozenset(),
        exclude=exclude or why_left_out(container),
        ids=IdMaps(container.uids, container.gids) if container.uids else None,
        setuid=wishes.setuid,
        limits=wishes.limits,
        watch=watch,
        only=only,
        indexed=indexed,
    )


@lru_cache
def _noticed(state: Path) -> bool:
    """Whether this node's kernel tells where something is written; tried out once."""
    try:
        with trial(state) as scratch:
            return notices_writes(scratch)
    except (oci.SourceError, OSError):
        return False


@contextmanager
def still_there(runtime: Runtime, container: Container) -> Iterator[None]:
    """Raises `ContainerRemovedError` at the end where the container was removed meanwhile, and
    `ContainerRunningError` where it was at rest and is not any more.

    Runtimes forget a container (or say that it is going) before they delete its layer: while they
    know it, and the same directory is in its place, everything of it was there.
    """
    try:
        with oci.readable(b""):
            before = container.upper.lstat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _removed(container) from error
    try:
        yield
    except (oci.SourceError, OSError) as error:
        if _in_place(runtime, container, before) is not None:
            raise
        raise _removed(container) from error
    now = _in_place(runtime, container, before)
    if now is None:
        raise _removed(container)
    if container.state.at_rest and not now.state.at_rest:
        raise ContainerRunningError(
            f"The container {container.id} was started while it was being saved.",
            hint="Nothing was published. Stop it first, or save it live.",
        )


def _in_place(runtime: Runtime, container: Container, before: os.stat_result) -> Container | None:
    """The container as it is now; None where it or its layer is gone."""
    try:
        now = runtime.find(container.id)
        same = now.upper == container.upper and os.path.samestat(now.upper.lstat(), before)
    except (NoContainerError, ContainerRemovedError, FileNotFoundError):
        return None
    return now if same else None


def _removed(container: Container) -> ContainerRemovedError:
    return ContainerRemovedError(
        f"The container {container.id} was removed while it was being saved.",
        hint="Nothing was published; the last checkpoint is still there.",
    )


@contextmanager
def _unhindered() -> Iterator[None]:
    """Before others (this thread, and those it starts) as long as somebody stands still."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    for urgent in _URGENT:
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, urgent)
            break
    slices = ask_for_slices(0)
    try:
        yield
    finally:
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, before)
        ask_for_slices(slices)
