"""What a store of images must offer; the layout on disk and the registry meet it."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import BinaryIO, Protocol, runtime_checkable

from .errors import DigestError, InvalidImageError
from .image import (
    MANIFEST,
    MAX_JSON,
    Descriptor,
    Digest,
    Image,
    ImageConfig,
    Manifest,
    checked_digest,
    parse,
)

_CHUNK = 1 << 20


class BlobWriter(Protocol):
    """One blob on its way into a store; ends with `commit` or `abort`."""

    def write(self, data: bytes) -> None:
        """Appends bytes; raises `StoreFullError`."""

    def commit(self, digest: Digest) -> None:
        """Makes the blob, whose bytes have this digest, part of the store, durably."""

    def abort(self) -> None:
        """Throws away what was written; nothing to do after `commit`."""


class Content(Protocol):
    """Blobs by digest, to read: half of a store, and all that a container runtime offers."""

    def has(self, digest: str) -> bool:
        """Whether the blob is there; if so it stays for at least the grace time of collections."""

    def open(self, digest: str) -> BinaryIO:
        """The blob's bytes, not verified; raises `MissingError`. `chunks` verifies."""

    def manifest(self, digest: str) -> bytes:
        """A manifest's bytes, not verified; raises `MissingError`."""


class Store(Content, Protocol):
    """Blobs by digest, and images listed by name."""

    def writer(self) -> BlobWriter:
        """Where a new blob goes."""

    def publish(self, image: Image, name: str) -> Descriptor:
        """Stores config and manifest and lists the image; raises `MissingError` for missing layers."""


@runtime_checkable
class Adopting(Protocol):
    """A store that can take blobs over from others without moving their bytes."""

    def adopt(self, source: Content, digest: Digest) -> bool:
        """Makes the blob of `source` part of this store; False where it has to be copied."""


def chunks(store: Content, blob: Descriptor) -> Iterator[bytes]:
    """The blob's bytes; raises `DigestError` at the end where they are not what `blob` says."""
    actual = sha256()
    left = blob.size
    with store.open(blob.digest) as file:
        while data := file.read(min(_CHUNK, left + 1)):
            left -= len(data)
            if left < 0:
                break
            actual.update(data)
            yield data
    if left or "sha256:" + actual.hexdigest() != blob.digest:
        raise DigestError(
            f"The blob {blob.digest} is damaged: its content is not what its digest says.",
            hint="Go back to an earlier image, or copy the blob from a backup.",
        )


def read_blob(store: Content, blob: Descriptor) -> bytes:
    """A small blob's verified bytes; raises `InvalidImageError` for one above `MAX_JSON`."""
    if blob.size > MAX_JSON:
        raise InvalidImageError(f"The blob {blob.digest} has {blob.size} bytes: too many.")
    return b"".join(chunks(store, blob))


def put_blob(store: Store, content: bytes, digest: Digest) -> None:
    """Stores a small blob; raises `StoreFullError`."""
    if store.has(digest):
        return
    writer = store.writer()
    try:
        writer.write(content)
        writer.commit(digest)
    finally:
        writer.abort()


def load_image(store: Content, digest: str) -> Image:
    """The image, verified and validated; raises `MissingError`, `DigestError`, `InvalidImageError`."""
    wanted = checked_digest(digest)
    content = store.manifest(wanted)
    if "sha256:" + sha256(content).hexdigest() != wanted:
        raise DigestError(
            f"The manifest {wanted} is damaged: its content is not what its digest says.",
            hint="Go back to an earlier image.",
        )
    manifest = Manifest.parse(content)
    config_content = read_blob(store, manifest.config)
    config = ImageConfig(parse(config_content, "config"))
    if len(config.diff_ids) != len(manifest.layers):
        raise InvalidImageError(f"The image {wanted} has not one diff_id for each layer.")
    kind = str(parse(content, "manifest").get("mediaType", MANIFEST))
    descriptor = Descriptor(kind, wanted, len(content))
    return Image(descriptor, manifest, config, content, config_content)
