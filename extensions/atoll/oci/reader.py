"""Reading a layer from a store: entries and contents, verified while they are read."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from queue import Empty, Queue
from threading import Event, Thread
from typing import IO, cast

import zstandard

from . import tar
from .errors import DigestError, InvalidImageError, LimitError
from .image import Compression, Descriptor, Digest, compression_of
from .source import DEFAULT_LIMITS, Entry, Kind, Limits
from .store import Content, chunks

_STEP = 1 << 20  # bytes decompressed at a time, however well they compress
_WINDOW = 1 << 27  # bytes of memory that a zstd frame may ask for (zstd's own default limit)
_QUEUED = 8  # pieces read ahead
_POLL = 0.001  # seconds between looks at a reading thread that is to end
_OVERHEAD = 8192  # tar bytes allowed for each entry beside its content


class LayerReader:
    """Iterates the entries of one layer; `read` and `content` give the entry just given.

    At the end of the iteration both digests have been checked.
    """

    def __init__(self, stream: Iterator[bytes], limits: Limits) -> None:
        self._stream = stream
        self._limits = limits
        self._buffer = b""
        self._at = 0
        self._content_left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        pax: dict[bytes, bytes] = {}
        while True:
            self._skip()
            block = tar.parse_block(self._exactly(tar.BLOCK))
            if block is None:
                break
            if block.kind in b"xgLK":
                self._extend(pax, block)
                continue
            entry = tar.entry_of(block, pax, self._limits.depth)
            pax = {}
            self._content_left = entry.size
            self._padding = -entry.size % tar.BLOCK
            if entry.path or entry.kind is Kind.OPAQUE:
                yield entry  # all but `./`, the root, which is the caller's
        for _ in self._stream:
            pass  # to the end, where the digests are checked

    def content(self) -> Iterator[bytes]:
        """What is left of the content of the entry just given, in pieces."""
        while self._content_left:
            piece = self._some(self._content_left)
            self._content_left -= len(piece)
            yield piece

    def read(self) -> bytes:
        """What is left of the content of the entry just given, whole."""
        return b"".join(self.content())

    def _extend(self, pax: dict[bytes, bytes], block: tar.Header) -> None:
        """Takes an extended header for the entry that follows; `g` (for all) carries nothing we use."""
        if not 0 <= block.size <= tar.MAX_PAX:
            raise LimitError(f"The layer holds an extended header of {block.size} bytes.")
        data = self._exactly(block.size)
        self._padding = -block.size % tar.BLOCK
        if block.kind == b"x":
            pax.clear()  # the last one counts; many in a row must not add up
            pax.update(tar.parse_pax(data))
        elif block.kind != b"g":
            pax[b"path" if block.kind == b"L" else b"linkpath"] = data.rstrip(b"\0")

    def _skip(self) -> None:
        for _ in self.content():
            pass
        self._exactly(self._padding)
        self._padding = 0

    def _some(self, limit: int) -> bytes:
        """Between 1 and `limit` bytes."""
        while self._at == len(self._buffer):
            following = next(self._stream, None)
            if following is None:
                raise InvalidImageError("The layer ends in the middle.")
            self._buffer, self._at = following, 0
        start, self._at = self._at, min(self._at + limit, len(self._buffer))
        if start == 0 and self._at == len(self._buffer):
            return self._buffer
        return self._buffer[start : self._at]

    def _exactly(self, size: int) -> bytes:
        if self._at + size <= len(self._buffer):
            self._at += size
            return self._buffer[self._at - size : self._at]
        parts: list[bytes] = []
        while size:
            parts.append(self._some(size))
            size -= len(parts[-1])
        return b"".join(parts)


@contextmanager
def open_layer(
    store: Content,
    layer: Descriptor,
    diff_id: str | None,
    *,
    limits: Limits = DEFAULT_LIMITS,
    progress: Callable[[int], None] | None = None,
) -> Generator[LayerReader]:
    """A layer's entries; `diff_id` None checks the compressed digest only.

    `progress` is called with the bytes of the blob read so far: of `layer.size`.

    While it is read it raises `DigestError`, `InvalidImageError`, `UnsafeLayerError`, `LimitError`.
    """
    packed = _counted(chunks(store, layer), progress)
    stream = _ahead(_decompressed(packed, layer, diff_id, limits))
    try:
        yield LayerReader(stream, limits)
    finally:
        stream.close()


def tar_stream(store: Content, layer: Descriptor, diff_id: Digest) -> Iterator[bytes]:
    """A layer's verified tar bytes."""
    return _decompressed(chunks(store, layer), layer, diff_id, DEFAULT_LIMITS)


def _counted(packed: Iterator[bytes], progress: Callable[[int], None] | None) -> Iterator[bytes]:
    done = 0
    for piece in packed:
        done += len(piece)
        if progress is not None:
            progress(done)
        yield piece


def _decompressed(
    packed: Iterator[bytes], layer: Descriptor, diff_id: str | None, limits: Limits
) -> Generator[bytes]:
    compression = compression_of(layer.media_type)
    most = limits.size + limits.entries * _OVERHEAD
    diff = sha256()
    total = 0
    for data in _expand(packed, compression):
        total += len(data)
        if total > most:
            raise LimitError(f"The layer {layer.digest} unpacks to more than {most:,} bytes.")
        diff.update(data)
        yield data
    if diff_id is not None and "sha256:" + diff.hexdigest() != diff_id:
        raise DigestError(
            f"The layer {layer.digest} does not unpack to what the image's config says.",
            hint="Go back to an earlier image.",
        )


def _ahead(pieces: Generator[bytes]) -> Generator[bytes]:
    """The same pieces, made in a thread: reading, hashing and decompressing beside the writing."""
    queue: Queue[bytes | BaseException | None] = Queue(_QUEUED)
    unwanted = Event()

    def run() -> None:
        ended: BaseException | None = None
        try:
            for piece in pieces:
                queue.put(piece)
                if unwanted.is_set():
                    break
        except BaseException as error:  # noqa: BLE001 - raised again in the reader's thread
            ended = error
        queue.put(ended)

    thread = Thread(target=run, name="layer-read", daemon=True)
    thread.start()
    try:
        while isinstance(piece := queue.get(), bytes):
            yield piece
        if piece is not None:
            raise piece
    finally:
        unwanted.set()
        while thread.is_alive():  # it may wait for room for one piece, and for its end
            with suppress(Empty):
                queue.get_nowait()
            thread.join(_POLL)
        pieces.close()


def _expand(packed: Iterator[bytes], compression: Compression) -> Iterator[bytes]:
    if compression is Compression.ZSTD:
        return _expand_zstd(packed)
    if compression is Compression.GZIP:
        return _expand_gzip(packed)
    return packed


class _Pieces:
    """An iterator of bytes as a file, for zstandard's reader, which never gives more than asked."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, _size: int) -> bytes:
        return next(self._pieces, b"")


def _expand_zstd(packed: Iterator[bytes]) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    pieces = cast(IO[bytes], _Pieces(packed))
    with decompressor.stream_reader(pieces, read_across_frames=True, closefd=False) as reader:
        while True:
            try:
                data = reader.read(_STEP)
            except zstandard.ZstdError as error:
                raise InvalidImageError(f"A layer is no valid zstd: {error}.") from error
            if not data:
                return
            yield data


def _expand_gzip(packed: Iterator[bytes]) -> Iterator[bytes]:
    expander = zlib.decompressobj(31)
    for piece in packed:
        rest = piece
        while rest:
            try:
                data = expander.decompress(rest, _STEP)
            except zlib.error as error:
                raise InvalidImageError(f"A layer is no valid gzip: {error}.") from error
            if data:
                yield data
            rest = expander.unconsumed_tail
            if expander.eof:  # gzip files may be several in a row
                rest = expander.unused_data
                expander = zlib.decompressobj(31)
