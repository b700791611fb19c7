"""What can go wrong on a node: each kind has a code, and says what happened and what to do."""

from __future__ import annotations

from atoll.kit.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)


class RuntimeUnavailableError(UnavailableError):
    """The container runtime does not answer, or not as it should."""

    code, title = "runtime_unavailable", "The container runtime does not answer"


class NoContainerError(NotFoundError):
    """There is no such container."""

    code, title = "container_not_found", "No such container"


class AmbiguousError(InvalidError):
    """Several containers could be meant."""

    code, title = "container_ambiguous", "Several containers have this name"


class ContainerRemovedError(ConflictError):
    """The container went away, or is going, while it was being saved."""

    code, title = "container_removed", "The container was removed"


class NotOursError(ForbiddenError):
    """The container is not one of the platform's."""

    code, title = "container_not_ours", "Not a container of the platform"


class SnapshotterError(ConflictError):
    """The container's files are kept in a way that has no separate layer of changes."""

    code, title = "snapshotter_unsupported", "This snapshotter keeps no layer of changes"


class RootlessError(ConflictError):
    """The store belongs to another account and cannot be read as it is."""

    code, title = "store_rootless", "A rootless container store"


class BaseGoneError(ConflictError):
    """The content of the container's own image cannot be found."""

    code, title = "base_gone", "The container's image is gone"


class ContainerRunningError(ConflictError):
    """The container runs, and it was not asked to save it live."""

    code, title = "container_running", "The container is running"


class BusyError(ConflictError):
    """Another save of the same container is under way."""

    code, title = "save_running", "This container is being saved already"


class FreezeError(ConflictError):
    """The container could not be frozen, or did not stay so."""

    code, title = "freeze_failed", "The container could not be frozen"


class SecretsError(ForbiddenError):
    """What looks like a secret must not get into an image that others may use."""

    code, title = "secrets_found", "The image would hold secrets"
