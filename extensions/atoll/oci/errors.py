"""What can go wrong with images: every error says what and why (`detail`), and what to do (`hint`)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class OciError(Exception):
    """Something about an image, a store or a directory that a person should be told."""

    def __init__(self, detail: str, *, hint: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.detail} {self.hint}" if self.hint else self.detail


class InvalidImageError(OciError):
    """A manifest, a config, a layer or an image layout is not what the specification says."""


class UnsafeLayerError(InvalidImageError):
    """A layer tries to do what no honest layer does: write outside its directory, create a device."""


class LimitError(OciError):
    """More bytes, entries or depth than was allowed."""


class TooSlowError(OciError):
    """A layer took longer than was allowed."""


class DigestError(OciError):
    """Content is not what its digest or size says: it was damaged, or replaced."""


class MissingError(OciError):
    """There is no such image or blob."""


class StoreFullError(OciError):
    """No room is left, or a disk quota is used up."""


class IndexFileError(OciError):
    """An index file is missing, damaged or of another version."""


class SourceError(OciError):
    """A directory cannot be read."""


class CancelledError(OciError):
    """The caller asked to stop."""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def room_needed(where: str) -> Iterator[None]:
    """Turns the system's "no space left" into a `StoreFullError` that names `where`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StoreFullError(
            f"No room is left for {where} ({error.strerror}).",
            hint="Free space on that disk or raise its quota; nothing half-written was kept.",
        ) from error
