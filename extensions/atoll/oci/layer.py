"""Writing a layer: entries to tar, compression and two digests in one pass, nothing spooled."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from queue import Empty, SimpleQueue
from threading import Thread

import zstandard
from isal import isal_zlib

from . import tar
from .allowance import Allowance, Cancelled
from .errors import LimitError
from .image import Compression, Descriptor, Digest
from .source import (
    DEFAULT_LIMITS,
    Entry,
    GiveWay,
    LeftOut,
    Limits,
    Packed,
    PackedFile,
    Source,
    nobody_waits,
    shown,
    steps,
)
from .store import BlobWriter, Store

_BLOCK = 2 << 20
"""Bytes handed from stage to stage."""
_FRAME = 256 << 10
"""Bytes compressed by themselves, in half a millisecond: with others a blob has another digest."""
_HASHED = 512 << 10  # bytes, likewise
_SPARE = 512 << 10  # bytes behind a block, for what is put into it in one piece
_BLOCKS = 8  # in flight; used again and again, since new memory costs as much as a copy
_LEVEL = {Compression.ZSTD: 1, Compression.GZIP: 1}
"""Level 1: 15 % larger than level 3 at three quarters of the time, on site-packages."""
_THREADS = 4  # more do not help: reading and hashing are then the slowest

Progress = Callable[[int], None]
"""Called now and then with the logical bytes done so far."""


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
    give_way: GiveWay = nobody_waits,
) -> LayerResult:
    """Writes what `source` gives as one layer into `store`.

    The same entries give the same bytes. Raises `LimitError` before it reads more than a block of
    what is too much, `TooSlowError`, `CancelledError`, `StoreFullError`; the store then holds nothing of it.
    """
    watch = _Watch(limits, progress, cancelled)
    writer = store.writer()
    try:
        pipeline = Pipeline(writer, compression, give_way)
        try:
            for step in steps(source, pipeline.room):
                give_way()
                if isinstance(step, Packed):
                    pipeline.filled(len(step.data))
                    watch.packed(step)
                    continue
                watch.entry(step)
                pipeline.write(tar.header(step))
                if step.size:
                    _write_content(source, step, pipeline, watch)
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
        self._attributes = 0  # bytes of them, so far
        self._limits = limits
        self._progress = progress
        self._allowance = Allowance(limits.seconds, cancelled)

    def entry(self, entry: Entry) -> None:
        """Before an entry is read."""
        self._count(entry)
        for name, value in entry.xattrs.items():
            self._attributes += len(name) + len(value)
        if self._attributes > self._limits.attributes:
            raise LimitError(
                "The files' extended attributes have more than"
                f" {self._limits.attributes:,} bytes; /{shown(entry.path)} was read last."
            )
        self.read(0)

    def packed(self, packed: Packed) -> None:
        """After files that were read at once."""
        before = self.size
        for file in packed.files:
            self._count(file)
        self.read(self.size - before)

    def _count(self, one: Entry | PackedFile) -> None:
        self.entries += 1
        self.size += one.size
        if self.entries > self._limits.entries:
            raise LimitError(f"There are more than {self._limits.entries:,} entries to save.")
        if self.size > self._limits.size:
            raise LimitError(
                f"There are more than {self._limits.size:,} bytes to save; "
                f"{shown(one.path)} alone has {one.size:,}."
            )

    def read(self, size: int) -> None:
        """After `size` bytes more."""
        self._done += size
        self._allowance.check()
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


Pack = Callable[[memoryview], bytes]
"""Compresses a part of a tar stream by itself."""


def _packer(compression: Compression) -> Pack:
    """What one thread at a time may use. Frames of zstd, or members of gzip, in a row are one stream."""
    level = _LEVEL.get(compression, 0)
    if compression is Compression.ZSTD:
        return zstandard.ZstdCompressor(level=level).compress
    if compression is Compression.GZIP:
        return lambda data: isal_zlib.compress(data, level, 31)  # with gzip's header
    return bytes


class _Block:
    """A part of the tar stream, in memory that is used again."""

    def __init__(self) -> None:
        self._memory = memoryview(bytearray(_BLOCK + _SPARE))
        self.used = 0
        self.packed: Future[list[bytes]] | None = None

    @property
    def full(self) -> bool:
        """Whether nothing more belongs into it; what is in the spare room then is the next one's."""
        return self.used >= _BLOCK

    @property
    def data(self) -> memoryview:
        """What is in it."""
        return self._memory[: min(self.used, _BLOCK)]

    def room(self, size: int) -> memoryview:
        """What is left of it: `size` bytes or more, into the spare room."""
        return self._memory[self.used : max(self.used + size, _BLOCK)]

    def follow(self, block: _Block) -> None:
        """Begins with what did not belong into the block before, or empty."""
        self.packed = None
        self.used = max(block.used - _BLOCK, 0)
        self._memory[: self.used] = block._memory[_BLOCK : _BLOCK + self.used]


def _nothing(_: object) -> None:
    """The work of a stage that has ended."""


class _Stage:
    """A thread that works on blocks in their order and hands them on; its error comes out later."""

    def __init__(
        self, name: str, work: Callable[[_Block], None], then: Callable[[_Block], None]
    ) -> None:
        self._work = work
        self._then = then
        self._queue: SimpleQueue[_Block | None] = SimpleQueue()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name=f"layer-{name}", daemon=True)
        self._thread.start()

    def put(self, block: _Block) -> None:
        """The next block; there are only so many, so the queue has no bound of its own."""
        self._queue.put(block)

    def check(self) -> None:
        """Raises what went wrong in the thread."""
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Waits until all blocks are done."""
        self._end()
        self.check()

    def close(self) -> None:
        """Ends the thread; what went wrong in it is left aside."""
        self._end()
        self._error = None  # it knows where it happened, and so all that was there

    def _end(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        # or it and its owner would hold each other, with all their memory
        self._work = self._then = _nothing

    def _run(self) -> None:
        while (block := self._queue.get()) is not None:
            if self._error is None:  # else it only hands blocks on, so that nobody waits for one
                try:
                    self._work(block)
                except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                    self._error = error
            self._then(block)


class Pipeline:
    """Tar bytes in; compressing, hashing, and writing with hashing, in threads beside.

    A block goes from the caller to the one that hashes, which also has it compressed by another
    thread, to the one that writes what came out, and back. Blocks are compressed each by itself,
    frame by frame: nothing is copied for that, and as many at a time as there are processors.
    """

    def __init__(
        self, sink: BlobWriter, compression: Compression, give_way: GiveWay = nobody_waits
    ) -> None:
        self._give_way = give_way
        self._sink = sink
        self._compression = compression
        self._digest = sha256()
        self._diff = sha256()
        self._size = 0
        self._block = _Block()
        self._blocks = 1
        self._free: SimpleQueue[_Block] = SimpleQueue()
        self._packers: SimpleQueue[Pack] = SimpleQueue()
        threads = min(_THREADS, os.cpu_count() or 1)
        for _ in range(threads):
            self._packers.put(_packer(compression))
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="layer-pack")
        self._write = _Stage("write", self._emit, self._free.put)
        self._hash = _Stage("hash", self._look, self._write.put)

    def write(self, data: bytes) -> None:
        """Appends to the tar stream; raises what went wrong in the threads."""
        rest = memoryview(data)
        while rest:
            room = self.room(0)
            part = rest[: len(room)]
            room[: len(part)] = part
            self._block.used += len(part)
            rest = rest[len(part) :]

    def room(self, size: int) -> memoryview:
        """Where the tar stream goes on, at least `size` bytes; raises what went wrong in the threads."""
        if size > _SPARE:
            raise ValueError(f"there is room for {_SPARE} bytes at once, not {size}")
        if self._block.full:
            self._flush()
        return self._block.room(size)

    def filled(self, size: int) -> None:
        """The first `size` bytes of the room given last are a part of the tar stream now."""
        self._block.used += size

    def finish(self) -> tuple[Descriptor, Digest]:
        """The descriptor of what was written, and the digest of the tar stream."""
        while self._block.used:
            self._flush()
        self._hash.finish()
        self._write.finish()
        digest = Digest("sha256:" + self._digest.hexdigest())
        descriptor = Descriptor(self._compression.value, digest, self._size)
        return descriptor, Digest("sha256:" + self._diff.hexdigest())

    def close(self) -> None:
        """Ends the threads."""
        self._hash.close()
        self._write.close()
        self._pool.shutdown()

    def _flush(self) -> None:
        self._hash.check()
        self._write.check()
        block, self._block = self._block, self._next()
        self._block.follow(block)
        self._hash.put(block)

    def _next(self) -> _Block:
        """A block that is free again; a new one while there are few, so that little takes little."""
        if self._blocks == _BLOCKS:
            return self._free.get()
        try:
            return self._free.get_nowait()
        except Empty:
            self._blocks += 1
            return _Block()

    def _look(self, block: _Block) -> None:
        block.packed = self._pool.submit(self._packed, block.data)
        for piece in self._pieces(block.data, _HASHED):
            self._diff.update(piece)

    def _packed(self, data: memoryview) -> list[bytes]:
        pack = self._packers.get()
        try:
            return [pack(piece) for piece in self._pieces(data, _FRAME)]
        finally:
            self._packers.put(pack)

    def _emit(self, block: _Block) -> None:
        if block.packed is not None:  # else hashing it went wrong, which comes out
            packed = b"".join(block.packed.result())
            for piece in self._pieces(memoryview(packed), _HASHED):
                self._digest.update(piece)
            self._size += len(packed)
            self._sink.write(packed)

    def _pieces(self, data: memoryview, size: int) -> Iterator[memoryview]:
        """The data in pieces of this size; after each, others have their turn."""
        for at in range(0, len(data), size):
            yield data[at : at + size]
            self._give_way()
