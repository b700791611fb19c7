"""What `/metrics` tells of saves: how they ended, bytes, seconds, and how many wait on each node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from atoll.checkpoints.models import Trigger
from atoll.checkpoints.node_models import ImageSaved, NotSaved

EMBEDDED: Final = "-"
"""The node of saves that the service carries out itself."""

_SAVES = Counter("atoll_saves", "Saves that ended", ["node", "outcome"])
_AUTOMATIC = Counter("atoll_automatic_saves", "Saves that ended and nobody asked for", ["outcome"])
_BYTES = Counter("atoll_saved_bytes", "Logical bytes of files that were saved", ["node"])
_SECONDS = Histogram(
    "atoll_save_seconds",
    "Seconds that a save took",
    ["node"],
    buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3600),
)
_FROZEN = Histogram(
    "atoll_frozen_seconds",
    "Seconds that a container stood still for a save",
    ["node"],
    buckets=(0.01, 0.03, 0.1, 0.2, 0.5, 1, 2, 5),
)
_WAITING = Gauge("atoll_saves_waiting", "Saves that wait for a node's agent", ["node"])
_REMOVALS = Counter(
    "atoll_registry_removals", "Tries to remove an image from the registry", ["outcome"]
)
_TO_REMOVE = Gauge("atoll_registry_removals_waiting", "Images that are to go from the registry")
_counted: set[str] = set()


def ended(node: str, told: ImageSaved | NotSaved, trigger: str) -> None:
    """An agent's save ended so."""
    _count(node, told.outcome, trigger)
    if isinstance(told, ImageSaved):
        _BYTES.labels(node).inc(told.size)
        _SECONDS.labels(node).observe(told.seconds)
        if told.frozen_ms:
            _FROZEN.labels(node).observe(told.frozen_ms / 1000)


def embedded(outcome: str, trigger: str, size: int = 0, seconds: float = 0.0) -> None:
    """A save of the service's own ended so."""
    _count(EMBEDDED, outcome, trigger)
    if outcome == "saved":
        _BYTES.labels(EMBEDDED).inc(size)
        _SECONDS.labels(EMBEDDED).observe(seconds)


def _count(node: str, outcome: str, trigger: str) -> None:
    _SAVES.labels(node, outcome).inc()
    if trigger == Trigger.AUTOMATIC:
        _AUTOMATIC.labels(outcome).inc()


def waiting(lengths: Mapping[str, int], nodes: Iterable[str]) -> None:
    """So many wait on each node now."""
    for node in _counted - {*lengths, *nodes}:
        _WAITING.remove(node)
    _counted.clear()
    _counted.update(lengths, nodes)
    for node in _counted:
        _WAITING.labels(node).set(lengths.get(node, 0))


def removed(outcome: str) -> None:
    """A try to remove an image from the registry ended so."""
    _REMOVALS.labels(outcome).inc()


def removals_waiting(number: int) -> None:
    """So many images are to go."""
    _TO_REMOVE.set(number)
