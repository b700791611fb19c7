"""Errors of images, stores and registries as the platform's: with a code and an HTTP status."""

from __future__ import annotations

from typing import Final

from atoll import oci
from atoll.kit.errors import (
    AtollError,
    ConflictError,
    ForbiddenError,
    FullError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from atoll.oci.registry_errors import DeniedError, RegistryAwayError


class ImageError(ConflictError):
    """An image, a store or a registry is not as it should be."""

    code, title = "image_failed", "The image could not be made"


class DamagedError(ConflictError):
    """A node's disk cannot read something that is to be saved."""

    code, title = "disk_damaged", "The disk cannot read it"


_KINDS: Final[tuple[tuple[type[oci.OciError], type[AtollError]], ...]] = (
    (oci.LimitError, TooLargeError),
    (oci.StoreFullError, FullError),
    (oci.MissingError, NotFoundError),
    (DeniedError, ForbiddenError),
    (RegistryAwayError, UnavailableError),
    (oci.TooSlowError, UnavailableError),
    (oci.UnreadableError, DamagedError),
)


def as_atoll(error: oci.OciError) -> AtollError:
    """An error of images, stores and registries with a code and an HTTP status."""
    kind = next((ours for theirs, ours in _KINDS if isinstance(error, theirs)), ImageError)
    return kind(error.detail, hint=error.hint)
