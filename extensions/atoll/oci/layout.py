"""An OCI image layout: a directory of blobs by digest and one list of images, safe for many processes."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .errors import InvalidImageError, MissingError, OciError, room_needed
from .image import (
    INDEX,
    MAX_JSON,
    REF_NAME,
    Descriptor,
    Digest,
    Image,
    JsonObject,
    Manifest,
    canonical,
    checked_digest,
    parse,
)
from .store import load_image, put_blob

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_PRIVATE = ".atoll"  # ours inside the layout: the lock, and blobs being written
_TEMPORARY = "write-"
_REPLACEMENT = "new-"
_MAX_INDEX = 64 << 20  # bytes of index.json: two hundred thousand images
_WORD = "[A-Za-z0-9]+"
_COMPONENT = f"{_WORD}(?:(?:[-._:@+]|--){_WORD})*"
_NAME = re.compile(f"{_COMPONENT}(?:/{_COMPONENT})*")
"""What annotations.md allows for org.opencontainers.image.ref.name."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection removed: how many blobs, and their bytes."""

    blobs: int
    size: int


class LayoutStore:
    """Images in a directory. Every process and thread may have its own on the same path.

    A blob appears under its digest only when it is complete and on disk; the list of images is
    replaced as a whole, under a lock. Opening it removes what killed writers left.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        """Opens or creates the layout; `clock` (seconds) dates blobs for the grace time."""
        self.path = path
        self._clock = clock
        self._blobs = path / "blobs" / "sha256"
        self._private = path / _PRIVATE
        with room_needed("the image store"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._blobs.mkdir(parents=True, exist_ok=True)
            self._private.mkdir(exist_ok=True)
            with self._lock(exclusive=True):
                for debris in self._private.glob(_REPLACEMENT + "*"):
                    debris.unlink()  # of a killed writer, since the lock is ours
                if not (path / "oci-layout").exists():
                    self._list([])
                    self._replace("oci-layout", _LAYOUT)
        self._sweep()

    def has(self, digest: str) -> bool:
        """Whether the blob is there; if so it counts as just written for `collect`."""
        blob = self._blob(digest)
        with self._lock(exclusive=False):
            return self._refresh(blob)

    def open(self, digest: str) -> BinaryIO:
        """The blob's bytes, not verified; raises `MissingError`."""
        try:
            return self._blob(digest).open("rb", buffering=0)
        except FileNotFoundError as error:
            raise _missing(digest) from error

    def writer(self) -> LayoutWriter:
        """Where a new blob goes."""
        return LayoutWriter(self)

    def manifest(self, digest: str) -> bytes:
        """A manifest's bytes, not verified; raises `MissingError`."""
        with self.open(digest) as file:
            return file.read(MAX_JSON + 1)  # one more is refused when it is parsed

    def images(self) -> tuple[Descriptor, ...]:
        """All images that are listed, in the order they were published."""
        try:
            content = (self.path / "index.json").read_bytes()
        except FileNotFoundError as error:
            raise InvalidImageError(
                "The image store has lost its index.json.", hint="Bring it back from a backup."
            ) from error
        items = parse(content, "index.json", most=_MAX_INDEX).get("manifests")
        if not isinstance(items, list):
            raise InvalidImageError("The index.json of the image store lists no manifests.")
        return tuple(Descriptor.parse(item, "image in index.json") for item in items)

    def publish(self, image: Image, name: str) -> Descriptor:
        """Stores config and manifest and lists the image as `name`, which then no other image has.

        Raises `MissingError` where a layer is not in the store, `StoreFullError`.
        """
        if not _NAME.fullmatch(name):
            raise InvalidImageError(
                f"{name!r} cannot be the name of an image.",
                hint="Letters and digits, with one of . _ : @ / + - between them.",
            )
        put_blob(self, image.config_content, image.manifest.config.digest)
        put_blob(self, image.manifest_content, image.digest)
        listed = Descriptor(
            image.descriptor.media_type, image.digest, image.descriptor.size, {REF_NAME: name}
        )
        with self._lock(exclusive=True):
            for blob in (image.descriptor, image.manifest.config, *image.manifest.layers):
                if not self._blob(blob.digest).exists():
                    raise _missing(blob.digest)
            others = [found for found in self.images() if found.name != name]
            self._list([*others, listed])
        return listed

    def delete(self, digest: str) -> None:
        """Lists the image no more, under any name; its blobs go with the next `collect`."""
        wanted = checked_digest(digest)
        with self._lock(exclusive=True):
            listed = self.images()
            kept = [found for found in listed if found.digest != wanted]
            if len(kept) == len(listed):
                raise MissingError(f"The image {wanted} is not in the store.")
            self._list(kept)

    def collect(self, keep: Collection[str] = (), *, grace: float = 3600) -> Collected:
        """Removes blobs that no image refers to and that are older than `grace` seconds.

        `keep` are digests of images (or blobs) to keep although they are not listed. Raises
        `MissingError`, `DigestError` or `InvalidImageError`, and removes nothing, where an image
        is damaged.
        """
        blobs = size = 0
        with self._lock(exclusive=True):
            needed = self._needed(keep)
            before = self._clock() - grace
            for blob in self._blobs.iterdir():
                status = blob.stat()
                if "sha256:" + blob.name in needed or status.st_mtime > before:
                    continue
                blob.unlink()
                blobs += 1
                size += status.st_size
        return Collected(blobs, size)

    def _needed(self, keep: Collection[str]) -> set[str]:
        needed: set[str] = set()
        for image in {found.digest for found in self.images()}:
            manifest = load_image(self, image).manifest
            needed |= {image, manifest.config.digest}
            needed.update(layer.digest for layer in manifest.layers)
        for digest in set(keep) - needed:
            needed.add(digest)
            if not self._blob(digest).exists():
                continue
            with suppress(InvalidImageError):  # a blob that is no manifest refers to nothing
                manifest = Manifest.parse(self.manifest(digest))
                needed.add(manifest.config.digest)
                needed.update(layer.digest for layer in manifest.layers)
        return needed

    def _blob(self, digest: str) -> Path:
        return self._blobs / checked_digest(digest).removeprefix("sha256:")

    def _refresh(self, blob: Path) -> bool:
        """Makes a blob young again; the caller holds the lock."""
        now = self._clock()
        try:
            os.utime(blob, (now, now))
        except FileNotFoundError:
            return False
        return True

    def _list(self, images: list[Descriptor]) -> None:
        document: JsonObject = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [image.document() for image in images],
        }
        self._replace("index.json", canonical(document))

    def _replace(self, name: str, content: bytes) -> None:
        """Replaces a file of the layout as a whole; the caller holds the lock."""
        temporary = self._private / (
            _REPLACEMENT + name
        )  # one writer at a time: a fixed name is enough
        with room_needed("the image store"):
            try:
                with temporary.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(self.path / name)
                _sync(self.path)
            finally:
                temporary.unlink(missing_ok=True)

    @contextmanager
    def _lock(self, *, exclusive: bool) -> Iterator[None]:
        """Shared: blobs stay. Exclusive: nobody else adds, lists or removes."""
        descriptor = os.open(self._private / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        """Removes temporary files whose writer is dead: a living one holds a lock on its file."""
        for debris in self._private.glob(_TEMPORARY + "*"):
            with suppress(FileNotFoundError), debris.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                debris.unlink(missing_ok=True)


class LayoutWriter:
    """A blob on its way into a layout: a locked temporary file until it is committed."""

    def __init__(self, store: LayoutStore) -> None:
        self._store = store
        with room_needed("a blob in the image store"):
            self._descriptor, self._temporary = _locked_file(store._private)
        self._done = False

    def write(self, data: bytes) -> None:
        """Appends bytes; raises `StoreFullError`."""
        view = memoryview(data)
        with room_needed("a blob in the image store"):
            while view:
                view = view[os.write(self._descriptor, view) :]

    def commit(self, digest: Digest) -> None:
        """Puts the blob, whose bytes have this digest, in its place, durably."""
        blob = self._store._blob(digest)
        with room_needed("a blob in the image store"):
            os.fsync(self._descriptor)
            with self._store._lock(exclusive=False):
                if self._store._refresh(blob):
                    self._temporary.unlink()  # somebody else wrote the same bytes first
                else:
                    self._temporary.replace(blob)
                    self._store._refresh(blob)
                self._done = True
                os.close(self._descriptor)
            _sync(blob.parent)

    def abort(self) -> None:
        """Throws away what was not committed."""
        if not self._done:
            self._done = True
            self._temporary.unlink(missing_ok=True)
            os.close(self._descriptor)


def _locked_file(directory: Path) -> tuple[int, Path]:
    """A new temporary file, locked; a sweep in between may have removed it, then another one."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=directory)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, Path(name)
        os.close(descriptor)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _missing(digest: str) -> OciError:
    return MissingError(
        f"The store has no {digest}.", hint="It was deleted, or the image was never complete."
    )
