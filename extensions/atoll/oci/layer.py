"""Writing a layer: entries to tar, compression and two digests in one pass, nothing spooled."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from queue import Queue
from threading import Thread
from typing import Protocol

import zstandard

from . import tar
from .errors import CancelledError, LimitError
from .image import Compression, Descriptor, Digest
from .source import DEFAULT_LIMITS, Entry, LeftOut, Limits, Source, shown
from .store import BlobWriter, Store

_BLOCK = 1 << 20  # bytes handed from stage to stage: large enough that hand-overs cost nothing
_QUEUED = 8  # blocks in flight between two stages
_LEVEL = {Compression.ZSTD: 1, Compression.GZIP: 1}
"""Level 1: 15 % larger than level 3 at three quarters of the time, on site-packages."""
_THREADS = 4  # more do not help: reading and hashing are then the slowest

Progress = Callable[[int], None]
"""Called now and then with the logical bytes done so far."""
Cancelled = Callable[[], bool]
"""Asked now and then whether to stop."""


@dataclass(frozen=True, slots=True)
class LayerResult:
    """A layer in a store, and what became of its source."""

    descriptor: Descriptor
    diff_id: Digest
    entries: int
    size: int  # logical bytes of its files
    left_out: tuple[LeftOut, ...]
    torn: tuple[bytes, ...]


def write_layer(
    source: Source,
    store: Store,
    *,
    compression: Compression = Compression.ZSTD,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> LayerResult:
    """Writes what `source` gives as one layer into `store`.

    The same entries give the same bytes. Raises `LimitError` before it reads what is too much,
    `CancelledError`, `StoreFullError`; the store then holds nothing of it.
    """
    watch = _Watch(limits, progress, cancelled)
    writer = store.writer()
    try:
        pipeline = Pipeline(writer, compression)
        try:
            for entry in source.entries():
                watch.entry(entry)
                pipeline.write(tar.header(entry))
                if entry.size:
                    _write_content(source, entry, pipeline, watch)
            pipeline.write(tar.END)
            descriptor, diff_id = pipeline.finish()
        finally:
            pipeline.close()
        writer.commit(descriptor.digest)
    finally:
        writer.abort()
    return LayerResult(
        descriptor, diff_id, watch.entries, watch.size, source.left_out(), source.torn()
    )


class _Watch:
    """Counts, tells how far it is, and stops where it is too much or no longer wanted."""

    def __init__(
        self, limits: Limits, progress: Progress | None, cancelled: Cancelled | None
    ) -> None:
        self.entries = 0
        self.size = 0  # of the entries so far, the one at hand included
        self._done = 0
        self._limits = limits
        self._progress = progress
        self._cancelled = cancelled

    def entry(self, entry: Entry) -> None:
        """Before an entry is read."""
        self.entries += 1
        self.size += entry.size
        if self.entries > self._limits.entries:
            raise LimitError(f"There are more than {self._limits.entries:,} entries to save.")
        if self.size > self._limits.size:
            raise LimitError(
                f"There are more than {self._limits.size:,} bytes to save; "
                f"{shown(entry.path)} alone has {entry.size:,}."
            )
        self.read(0)

    def read(self, size: int) -> None:
        """After `size` bytes more."""
        self._done += size
        if self._cancelled is not None and self._cancelled():
            raise CancelledError("Saving was stopped before the layer was complete.")
        if self._progress is not None:
            self._progress(self._done)


def _write_content(source: Source, entry: Entry, pipeline: Pipeline, watch: _Watch) -> None:
    written = 0
    for data in source.content(entry):
        written += len(data)
        pipeline.write(data)
        watch.read(len(data))
    if written != entry.size:
        raise ValueError(f"the source gave {written} bytes for {entry.path!r}, not {entry.size}")
    pipeline.write(tar.padding(written))


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _AsItIs:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _compressor(compression: Compression) -> _Compressor:
    if compression is Compression.ZSTD:
        threads = min(_THREADS, os.cpu_count() or 1)  # the bytes are the same for 1 and for more
        level = _LEVEL[compression]
        return zstandard.ZstdCompressor(level=level, threads=threads).compressobj()
    if compression is Compression.GZIP:
        return zlib.compressobj(_LEVEL[compression], zlib.DEFLATED, 31)  # 31: with gzip's header
    return _AsItIs()


def _nothing(_: bytes) -> None:
    """The work of a stage that has ended."""


class _Stage:
    """A thread that works on blocks in their order; its error comes out at the next call."""

    def __init__(self, name: str, work: Callable[[bytes], None]) -> None:
        self._work = work
        self._queue: Queue[bytes | None] = Queue(_QUEUED)
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name=f"layer-{name}", daemon=True)
        self._thread.start()

    def put(self, block: bytes) -> None:
        self._raise()
        self._queue.put(block)

    def finish(self) -> None:
        """Waits until all blocks are done."""
        self.close()
        self._raise()

    def close(self) -> None:
        """Ends the thread; what went wrong in it is left aside."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        self._work = _nothing  # or it and its owner would hold each other, with all their memory

    def _run(self) -> None:
        while (block := self._queue.get()) is not None:
            if self._error is not None:
                continue  # keep taking blocks, so that nobody waits for room in the queue
            try:
                self._work(block)
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                self._error = error

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


class Pipeline:
    """Tar bytes in; hashing, and compressing with hashing and writing, in threads beside."""

    def __init__(self, sink: BlobWriter, compression: Compression) -> None:
        self._sink = sink
        self._compression = compression
        self._compressor = _compressor(compression)
        self._digest = sha256()
        self._diff = sha256()
        self._size = 0
        self._parts: list[bytes] = []
        self._pending = 0
        self._hash = _Stage("hash", self._diff.update)
        self._pack = _Stage("pack", self._compress)

    def write(self, data: bytes) -> None:
        """Appends to the tar stream; raises what went wrong in the threads."""
        self._parts.append(data)
        self._pending += len(data)
        if self._pending >= _BLOCK:
            self._flush()

    def finish(self) -> tuple[Descriptor, Digest]:
        """The descriptor of what was written, and the digest of the tar stream."""
        self._flush()
        self._hash.finish()
        self._pack.finish()
        self._emit(self._compressor.flush())
        digest = Digest("sha256:" + self._digest.hexdigest())
        descriptor = Descriptor(self._compression.value, digest, self._size)
        return descriptor, Digest("sha256:" + self._diff.hexdigest())

    def close(self) -> None:
        """Ends the threads, those of the compressor too."""
        self._hash.close()
        self._pack.close()
        self._compressor = _AsItIs()

    def _flush(self) -> None:
        block = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._pending = 0
        self._hash.put(block)
        self._pack.put(block)

    def _compress(self, block: bytes) -> None:
        self._emit(self._compressor.compress(block))

    def _emit(self, packed: bytes) -> None:
        if packed:
            self._digest.update(packed)
            self._size += len(packed)
            self._sink.write(packed)
