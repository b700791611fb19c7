"""Saving a container: its own base image and its changes as one more layer, published by digest."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from atoll import oci
from atoll.agent import policy
from atoll.agent.bringing import bring
from atoll.agent.copying import Copied, Copy, Wishes, scan_of, still_there
from atoll.agent.errors import BusyError, ContainerRunningError, NotOursError
from atoll.agent.own import Merging, Nearest, Own, any_replaced, is_due, own_layers
from atoll.agent.runtimes.container import Container, Runtime
from atoll.oci.image import build
from atoll.oci.publish import BASE_DIGEST, BASE_NAME, MAX_LAYERS

CREATED: Final = "org.opencontainers.image.created"
_OURS: Final = "dev.atoll.checkpoint/"
STATE: Final = Path("/run/atoll-agent")
"""Locks, and notes of what stands still; gone after a reboot, as what they are about is."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a save made, and what became of the container's files."""

    container: Container
    image: oci.Descriptor
    base: oci.Digest
    own: Own  # the layers over the base that the image had before
    copied: Copied
    size: int  # logical bytes of the files in the new layers
    packed: int  # bytes of the new layers as stored
    entries: int
    seconds: float


def commit(
    runtime: Runtime,
    name: str,
    store: oci.Store,
    image_name: str,
    *,
    live: bool = False,
    state: Path = STATE,
    wishes: Wishes | None = None,
    elsewhere: oci.Content | None = None,
    annotations: Mapping[str, str] | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Saved:
    """Saves the container `name` of `runtime` as the image `image_name` in `store`.

    Without `live` it must be at rest. Blobs of the base that neither the store nor the runtime has
    come from `elsewhere`. Raises the agent's errors and `OciError`; nothing is published then.
    """
    began = time.monotonic()
    wishes = wishes or Wishes()
    container = runtime.find(name)
    with one_at_a_time(container, state):
        at_rest = container.state.at_rest
        if not at_rest and not live:
            raise ContainerRunningError(
                f"The container {container.id} is running.",
                hint="Stop it first, or save it live (--live).",
            )
        with runtime.base(container) as base, still_there(runtime, container):
            wishes = replace(wishes, compression=wishes.compression or base.readable)
            image = bring(base, store, elsewhere, state, wishes)
            _check_image(container, image, wishes.image, (store, elsewhere, base.content))
            own = own_layers(image, wishes.own, container)
            merging = _merging(
                own, container, Nearest(base.content, store), wishes, live=not at_rest
            )
            copy = Copy(container, store, wishes)
            copied = copy.at_rest(merging) if at_rest else copy.live(state, merging)
        created = clock()
        facts = {**_facts(container, image, copied, created), **(annotations or {})}
        under = len(image.manifest.layers) - (len(own) if copied.merged else 0)
        stacked = _stacked(image, under, copied.layers, created, facts)
        published = store.publish(stacked, image_name)
    return Saved(
        container=container,
        image=published,
        base=image.digest,
        own=own,
        copied=copied,
        size=sum(layer.size for layer in copied.layers),
        packed=sum(layer.descriptor.size for layer in copied.layers),
        entries=sum(layer.entries for layer in copied.layers),
        seconds=time.monotonic() - began,
    )


def _check_image(
    container: Container, image: oci.Image, wanted: str, places: Sequence[oci.Content | None]
) -> None:
    """Raises `NotOursError` where the container is known to be from another image than the wanted one."""
    if wanted in ("", image.digest, container.image.digest):
        return
    for place in places:
        try:
            expected = oci.load_image(place, wanted) if place is not None else None
        except oci.OciError:
            continue  # not there, or a list of images: then nothing is known
        if expected is not None and expected.config.diff_ids != image.config.diff_ids:
            raise NotOursError(
                f"The container {container.id} was not started from {wanted}.",
                hint="It is not the one that the platform started; nothing of it is saved.",
            )


def _merging(
    own: Own, container: Container, content: oci.Content, wishes: Wishes, *, live: bool
) -> Merging | None:
    """How the user's layers become one with this save; None where they stay as they are."""
    if not wishes.most_layers or not len(own):
        return None
    there = scan_of(container)
    if there.entries and (
        is_due(own, container, there.size, live=live, most=wishes.most_layers)
        or any_replaced(wishes.secrets, own, container)
    ):
        return Merging(own, content, wishes.limits)
    return None


@contextmanager
def one_at_a_time(container: Container, state: Path) -> Iterator[None]:
    """Raises `BusyError` where another process saves the same container."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = state / f"{key_of(container)}.lock"
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(
                f"The container {container.id} is being saved by another process.",
                hint="Wait until that is done.",
            ) from error
        yield
    finally:
        os.close(descriptor)  # the file stays: removing it would let two in at once


def key_of(container: Container) -> str:
    """What files about a container are called."""
    return hashlib.sha256(f"{container.runtime}/{container.id}".encode()).hexdigest()[:32]


def _facts(
    container: Container, base: oci.Image, copied: Copied, created: datetime
) -> dict[str, str]:
    """What the manifest tells of the save; nothing that a tenant could set."""
    return {
        CREATED: created.isoformat().replace("+00:00", "Z"),
        BASE_DIGEST: base.digest,
        BASE_NAME: container.image.name,
        _OURS + "policy": policy.VERSION,
        _OURS + "entries": str(sum(layer.entries for layer in copied.layers)),
        _OURS + "size": str(sum(layer.size for layer in copied.layers)),
        _OURS + "left-out": str(len(copied.left_out)),
        _OURS + "torn": str(len(copied.torn)),
        _OURS + "frozen-ms": str(round(copied.frozen_s * 1000)),
    }


def _stacked(
    base: oci.Image,
    under: int,
    new: Sequence[oci.LayerResult],
    created: datetime,
    annotations: Mapping[str, str],
) -> oci.Image:
    """The `under` lowest layers of the base with the new ones, or the base itself where there are none.

    Config and labels are the base's, never what the running container has: that holds tokens.
    """
    if not new:
        return base
    layers = [*base.manifest.layers[:under], *(layer.descriptor for layer in new)]
    if len(layers) > MAX_LAYERS:
        raise oci.InvalidImageError(
            f"The image would have {len(layers)} layers; {MAX_LAYERS} are possible.",
            hint="Merge the layers of the container's image first.",
        )
    config = base.config.cut(under) if under < len(base.manifest.layers) else base.config
    for layer in new:
        config = config.appended(layer.diff_id, created=created, comment="atoll: checkpoint")
    return build(config, layers, annotations)
