"""One save in an agent's hands: what was ordered, how far it is, and whether it is still wanted."""

from __future__ import annotations

import threading
from typing import NamedTuple, Protocol

from atoll.checkpoints.models import Changes
from atoll.checkpoints.node_models import ImageSaved, LookOrder, Phase, PushToken, SaveOrder


class HowFar(NamedTuple):
    """Where a save is: bytes are logical ones."""

    phase: Phase
    done: int
    total: int
    waits: str = ""  # what holds it up, for people


class Work:
    """Shared by the thread that saves and the one that tells the service."""

    def __init__(self, order: SaveOrder) -> None:
        self.order = order
        self.how_far = HowFar(Phase.SCANNING, 0, 0)
        self._unwanted = threading.Event()
        target = order.target
        self._token = target.token if target.kind == "registry" else None

    def tell(self, phase: Phase, done: int = 0, total: int = 0) -> None:
        """How far it is; costs nothing, however often."""
        self.how_far = HowFar(phase, done, total)

    def wait(self, why: str) -> None:
        """Something holds it up, until there is more to tell."""
        self.how_far = self.how_far._replace(waits=why)

    def cancel(self) -> None:
        """Nobody wants it any more."""
        self._unwanted.set()

    def cancelled(self) -> bool:
        """Whether to stop."""
        return self._unwanted.is_set()

    @property
    def token(self) -> PushToken | None:
        """The newest push token; None where the target asks for none."""
        return self._token

    def renew(self, token: PushToken) -> None:
        """A newer push token."""
        self._token = token


class Saver(Protocol):
    """What carries out saves: `agent.saving.ContainerSaver` does."""

    def save(self, work: Work) -> ImageSaved:
        """Put the image into its target; blocks. Raises AtollError and OciError where it cannot."""
        ...

    def look(self, order: LookOrder) -> Changes:
        """What a running container has that is not saved; blocks. Raises AtollError and OciError."""
        ...
