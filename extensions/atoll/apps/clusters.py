"""Where servers run: on this machine alone, or in a cluster too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from atoll.apps.running import Loops
from atoll.apps.settings import ServiceSettings
from atoll.checkpoints.ground import Containers
from atoll.checkpoints.service import Checkpoints
from atoll.kit.events import EventStream
from atoll.kit.hub_api import HubApi
from atoll.kit.loops import Reconciler

if TYPE_CHECKING:
    from atoll.checkpoints.orphans import Orphans


class Place(Protocol):
    """What the service has of it; `cluster.Cluster` is the other one."""

    @property
    def containers(self) -> Containers | None:
        """What is known of servers' containers."""
        ...

    def watch(self, checkpoints: Checkpoints) -> list[Reconciler]:
        """The reconcilers that look after it, to be woken by `wake`."""
        ...

    @property
    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What runs beside the reconcilers, once these are made."""
        ...

    def wake(self, loops: Loops, events: EventStream) -> None:
        """Have what happens there looked at at once."""
        ...

    def orphans(self, users: HubApi) -> Orphans | None:
        """What lists what belongs to nobody, once `watch` was called."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...


class ThisMachine:
    """Servers are directories and processes here."""

    containers = None
    loops: Mapping[str, Callable[[], Awaitable[None]]] = {}

    def watch(self, checkpoints: Checkpoints) -> list[Reconciler]:
        """None are needed."""
        del checkpoints
        return []

    def wake(self, loops: Loops, events: EventStream) -> None:
        """Nothing happens elsewhere."""

    def orphans(self, users: HubApi) -> None:
        """There are none."""
        del users

    def close(self) -> None:
        """Nothing is open."""


def place_of(config: ServiceSettings) -> Place:
    """The one that the settings ask for."""
    if not config.kubernetes.enabled:
        return ThisMachine()
    from atoll.apps.cluster import Cluster  # its libraries are installed for clusters alone

    return Cluster(config.kubernetes, config.service.host)
