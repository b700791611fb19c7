"""Making images in a store: a base, an image with one layer more, a copy with other compression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from .allowance import Allowance, Cancelled
from .errors import DigestError, InvalidImageError
from .image import Compression, Descriptor, Digest, Image, base_config, build, compression_of
from .layer import LayerResult, Pipeline, write_layer
from .reader import tar_stream
from .source import DEFAULT_LIMITS, Entry, LeftOut, Limits
from .store import Adopting, Content, Store, chunks, load_image

BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
MAX_LAYERS = 120
"""overlayfs mounts at most 128 directories at once, and runtimes add their own."""


class _Nothing:
    """The source of an empty layer: an image without any layer is refused by some runtimes."""

    def entries(self) -> Iterator[Entry]:
        return iter(())

    def content(self, entry: Entry) -> Iterator[bytes]:
        raise ValueError(f"there is no {entry.path!r}")

    def left_out(self) -> tuple[LeftOut, ...]:
        return ()

    def torn(self) -> tuple[bytes, ...]:
        return ()


def create_base(
    store: Store,
    name: str,
    *,
    created: datetime,
    labels: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
    architecture: str | None = None,
) -> Descriptor:
    """An image of one empty layer, told from others by its labels; the same for the same arguments."""
    layer = write_layer(_Nothing(), store)
    config = base_config(created=created, labels=labels, architecture=architecture)
    config = config.appended(layer.diff_id, created=created, comment="atoll: an empty base")
    return store.publish(build(config, [layer.descriptor], annotations or {}), name)


def append_layer(
    store: Store,
    parent: str | Image,
    layer: LayerResult,
    *,
    name: str,
    created: datetime,
    annotations: Mapping[str, str] | None = None,
    comment: str = "atoll: checkpoint",
) -> Descriptor:
    """The image `parent` with `layer` on top, listed as `name`.

    A parent given as an `Image` need not be in the store; its layers must be. The manifest carries
    `annotations` only, none of the parent's. Raises `MissingError`, `DigestError`,
    `InvalidImageError` for the parent, and for more than `MAX_LAYERS` layers.
    """
    image = parent if isinstance(parent, Image) else load_image(store, parent)
    layers = [*image.manifest.layers, layer.descriptor]
    if len(layers) > MAX_LAYERS:
        raise InvalidImageError(
            f"The image would have {len(layers)} layers; {MAX_LAYERS} are possible.",
            hint="Save everything anew (since=None), over the base image.",
        )
    config = image.config.appended(layer.diff_id, created=created, comment=comment)
    return store.publish(build(config, layers, annotations or {}), name)


def export(
    source: Content,
    digest: str,
    target: Store,
    *,
    name: str,
    compression: Compression | None = None,
) -> Descriptor:
    """Copies an image to another store, its layers compressed anew unless `compression` is None.

    Between directories and registries, either way; nothing moves that the target has or can adopt.
    The contents, and so the config, stay the same; with another compression the digest does not.
    """
    image = load_image(source, digest)
    layers = [
        _copy(source, layer, diff_id, target, compression)
        for layer, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=True)
    ]
    if tuple(layers) == image.manifest.layers:
        return target.publish(image, name)
    return target.publish(build(image.config, layers, image.manifest.annotations), name)


def _copy(
    source: Content,
    layer: Descriptor,
    diff_id: Digest,
    target: Store,
    compression: Compression | None,
) -> Descriptor:
    if compression is None or compression_of(layer.media_type) is compression:
        take_over(source, layer, target)
        return layer
    writer = target.writer()
    pipeline = Pipeline(writer, compression)
    try:
        for data in tar_stream(source, layer, diff_id):
            pipeline.write(data)
        packed, written = pipeline.finish()
        if written != diff_id:
            raise DigestError(f"The layer {layer.digest} changed while it was compressed anew.")
        writer.commit(packed.digest)
    finally:
        pipeline.close()
        writer.abort()
    return packed


def take_over(source: Content, blob: Descriptor, target: Store) -> None:
    """Makes a blob of `source` part of `target` by the cheapest way: it is there, is adopted, is copied.

    Raises `MissingError`, `DigestError`, `StoreFullError`.
    """
    if target.has(blob.digest):
        return
    if not (isinstance(target, Adopting) and target.adopt(source, blob.digest)):
        copy_blob(source, blob, target)


def copy_blob(
    source: Content,
    blob: Descriptor,
    target: Store,
    *,
    cancelled: Cancelled | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Copies one blob, verified; raises `MissingError`, `DigestError`, `StoreFullError`.

    Of the limits it keeps the time: `TooSlowError`. Raises `CancelledError`; the target then holds
    nothing of it.
    """
    allowance = Allowance(limits.seconds, cancelled)
    writer = target.writer()
    try:
        for data in chunks(source, blob):
            writer.write(data)
            allowance.check()
        writer.commit(blob.digest)
    finally:
        writer.abort()
