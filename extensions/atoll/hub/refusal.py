"""A start that is refused, in words that the hub's pages show."""

from __future__ import annotations

from jupyterhub.spawner import SpawnException

from atoll.checkpoints.models import Digest
from atoll.kit.errors import AtollError


class StartRefused(SpawnException):  # type: ignore[misc]  # JupyterHub has no types
    """A server cannot be started, and no part of the hub is at fault."""

    def __init__(self, message: str, *, reason: str, status: int) -> None:
        super().__init__(message, reason=reason, status_code=status)
        self.jupyterhub_message = message  # the pages that are shown afterwards look here alone

    @classmethod
    def of(cls, error: AtollError) -> StartRefused:
        """The refusal that an error of the platform leads to."""
        return cls(str(error), reason=error.code, status=error.status)


class ChoiceRefused(StartRefused):
    """What was chosen is not offered; a start that says nothing must not choose it again."""


class EnvironmentUnusable(StartRefused):
    """A saved environment turned out not to start; another one may."""

    def __init__(self, message: str, *, digest: Digest, short: str) -> None:
        super().__init__(message, reason="environment_unusable", status=503)
        self.digest = digest
        self.short = short  # for those who watch the start
