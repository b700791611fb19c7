"""A blob kept aside on the node for a moment, where the store it belongs into would take too long."""

from __future__ import annotations

from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO

from atoll import oci
from atoll.agent.errors import FreezeError
from atoll.kit import words
from atoll.oci.image import Descriptor, Digest, Image

_IN_MEMORY = 64 << 20  # bytes; what a delta is meant to be at most
_MOST = 256 << 20  # bytes of one blob: the directory is in memory, too, and not ours alone
_BLOCK = 1 << 20


class Aside:
    """A store in front of another one: blobs wait here until `flush`. See `oci.Store`."""

    def __init__(self, store: oci.Store, directory: Path) -> None:
        """`directory` takes what is too much for memory."""
        self._store = store
        self._directory = directory
        self._kept: list[tuple[Digest, SpooledTemporaryFile[bytes]]] = []

    def has(self, digest: str) -> bool:
        """Whether the other store has the blob."""
        return self._store.has(digest)

    def open(self, digest: str) -> BinaryIO:
        """The blob in the other store."""
        return self._store.open(digest)

    def manifest(self, digest: str) -> bytes:
        """A manifest of the other store."""
        return self._store.manifest(digest)

    def publish(self, image: Image, name: str) -> Descriptor:
        """Publishes in the other store."""
        return self._store.publish(image, name)

    def writer(self) -> oci.BlobWriter:
        """Where a new blob goes: it is kept aside."""
        return _Writer(self._kept, self._directory)

    def flush(self) -> None:
        """Writes what is kept to the other store; raises `StoreFullError`."""
        while self._kept:
            digest, file = self._kept.pop()
            with file:
                file.seek(0)
                writer = self._store.writer()
                try:
                    while data := file.read(_BLOCK):
                        writer.write(data)
                    writer.commit(digest)
                finally:
                    writer.abort()

    def close(self) -> None:
        """Throws away what was not flushed."""
        while self._kept:
            self._kept.pop()[1].close()


class _Writer:
    def __init__(
        self, kept: list[tuple[Digest, SpooledTemporaryFile[bytes]]], directory: Path
    ) -> None:
        self._kept = kept
        self._file = SpooledTemporaryFile[bytes](max_size=_IN_MEMORY, dir=str(directory))
        self._size = 0
        self._done = False

    def write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > _MOST:
            raise FreezeError(
                f"More than {words.size(_MOST)} had changed when the container stood still.",
                hint="Too much changes at once; try again, or save it when it is stopped.",
            )
        with oci.room_needed("the changes of a container, on the node"):
            self._file.write(data)

    def commit(self, digest: Digest) -> None:
        self._done = True
        self._kept.append((digest, self._file))

    def abort(self) -> None:
        if not self._done:
            self._done = True
            self._file.close()
