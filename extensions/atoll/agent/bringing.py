"""Getting a container's own base image into the store it is saved in, moving as little as possible."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from atoll import oci
from atoll.agent.copying import Wishes
from atoll.agent.errors import BaseGoneError
from atoll.agent.leftovers import draft_of
from atoll.agent.runtimes.container import Base, Tars
from atoll.oci.image import Compression, Json, build, parse
from atoll.oci.layer import Pipeline
from atoll.oci.registry_errors import RegistryError
from atoll.oci.store import Adopting

_MEMORY: Final = "packed.json"  # in the state directory: which blob a layer became
_MOST_REMEMBERED: Final = 10_000
_MAX_MEMORY: Final = 16 << 20


def bring(
    base: Base,
    store: oci.Store,
    elsewhere: oci.Content | None,
    state: Path,
    wishes: Wishes,
) -> oci.Image:
    """The base as it lies in `store` afterwards, with all its layers.

    A layer comes from the store itself, from the runtime's packed layers, from `elsewhere`, or is
    packed anew from the runtime's unpacked ones: the image has then another digest, and the same
    content. Raises `BaseGoneError` for one that nobody has, `CancelledError`, and `TooSlowError`
    for one that takes longer than the wishes' limits say.
    """
    image = base.image or _manifest(base, elsewhere)
    if image is not None:
        missing = [layer for layer in image.manifest.layers if not store.has(layer.digest)]
        places = (base.content, elsewhere)
        copied = [layer for layer in missing if _copied(layer, places, store, wishes)]
        if copied == missing:
            return image
    if base.tars is None:
        raise BaseGoneError(
            "Layers of the container's image are nowhere: neither in the store that it is to be saved"
            " in, nor in its own registry, nor on this node.",
            hint="Push the image to the registry, or pull it on this node again.",
        )
    memory = _Memory(state / _MEMORY)
    layers = [_again(diff_id, base.tars, store, memory, wishes) for diff_id in base.config.diff_ids]
    return build(base.config, layers, {})


def _manifest(base: Base, elsewhere: oci.Content | None) -> oci.Image | None:
    """The image as its registry has it; None where it cannot be had from there."""
    if elsewhere is None:
        return None
    for digest in base.digests:
        try:
            image = oci.load_image(elsewhere, digest)
        except oci.CancelledError:
            raise
        except oci.OciError:
            continue  # not there, not ours to read, or not reachable: it is packed anew instead
        if image.config.diff_ids == base.config.diff_ids:
            return image
    return None


def _copied(
    layer: oci.Descriptor,
    places: tuple[oci.Content | None, ...],
    store: oci.Store,
    wishes: Wishes,
) -> bool:
    """Whether one of these places had the layer, which now is in `store`."""
    for place in places:
        if place is None or not _offers(place, layer):
            continue
        if isinstance(store, Adopting) and store.adopt(place, layer.digest):
            return True
        oci.copy_blob(place, layer, store, cancelled=wishes.cancelled, limits=wishes.limits)
        return True
    return False


def _offers(place: oci.Content, layer: oci.Descriptor) -> bool:
    try:
        return place.has(layer.digest)
    except RegistryError:
        return False  # a registry that lets us not, or is away, is as good as none


def _again(
    diff_id: oci.Digest, tars: Tars, store: oci.Store, memory: _Memory, wishes: Wishes
) -> oci.Descriptor:
    compression = wishes.compression or Compression.ZSTD
    known = memory.get(diff_id)
    if known is not None and known.media_type == compression.value and store.has(known.digest):
        return known
    try:
        allowance = oci.Allowance(wishes.limits.seconds, wishes.cancelled)
        packed = _packed(tars.tar(diff_id), store, diff_id, compression, allowance)
    except oci.MissingError as error:
        raise BaseGoneError(
            f"The layer {diff_id} of the container's image is gone from this node.",
            hint="Pull or build the image again.",
        ) from error
    memory.put(diff_id, packed)
    return packed


def _packed(
    tar: Iterator[bytes],
    store: oci.Store,
    diff_id: str,
    compression: Compression,
    allowance: oci.Allowance,
) -> oci.Descriptor:
    """A layer from its tar bytes, verified."""
    writer = store.writer()
    pipeline = Pipeline(writer, compression)
    try:
        for data in tar:
            pipeline.write(data)
            allowance.check()
        descriptor, written = pipeline.finish()
        if written != diff_id:
            raise BaseGoneError(
                f"The runtime's files of the layer {diff_id} are not what they were.",
                hint="Somebody changed them; pull or build the image again.",
            )
        writer.commit(descriptor.digest)
    finally:
        pipeline.close()
        writer.abort()
    return descriptor


class _Memory:
    """Which blob a layer became when it was packed, so that it need not be packed each time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, diff_id: str) -> oci.Descriptor | None:
        """The blob that the layer was packed to last."""
        found = self._known().get(diff_id)
        return oci.Descriptor.parse(found, "packed layer") if found is not None else None

    def put(self, diff_id: str, packed: oci.Descriptor) -> None:
        """Remembers it; of two processes that do so at once, one may be forgotten."""
        known = list(self._known().items())[-_MOST_REMEMBERED:]
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = draft_of(self._path)
        draft.write_text(json.dumps({**dict(known), diff_id: packed.document()}))
        draft.replace(self._path)

    def _known(self) -> dict[str, Json]:
        try:
            return parse(self._path.read_bytes(), "memory of packed layers", most=_MAX_MEMORY)
        except (FileNotFoundError, oci.InvalidImageError):
            return {}
