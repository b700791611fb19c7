"""What can go wrong with images: every error says what and why (`detail`), and what to do (`hint`)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from .source import shown


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


class UnreadableError(SourceError):
    """The disk cannot read something in it, which the error names."""


class CancelledError(OciError):
    """The caller asked to stop."""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


_OF_THE_DISK = frozenset({errno.EIO, errno.EUCLEAN, errno.EBADMSG})
_OF_THE_MACHINE = frozenset({errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def must_be_readable(path: bytes, error: OSError) -> None:
    """Raises `SourceError` where it is the machine that cannot read this now, not somebody's permissions.

    What a layer lacks for that is not left out of it: it would pass for all that there was. It is
    an `UnreadableError` where the disk is to blame.
    """
    if error.errno in _OF_THE_DISK:
        raise UnreadableError(
            f"/{shown(path)} cannot be read from the disk ({error.strerror}).",
            hint="Have an administrator look at this machine's disk.",
        ) from error
    if error.errno in _OF_THE_MACHINE:
        raise SourceError(
            f"/{shown(path)} cannot be read now ({error.strerror}).",
            hint="Look at this machine's disk and limits; nothing was saved.",
        ) from error


@contextmanager
def readable(path: bytes) -> Iterator[None]:
    """Raises as `must_be_readable` does for what the system says inside; other errors as they are."""
    try:
        yield
    except OSError as error:
        must_be_readable(path, error)
        raise


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
