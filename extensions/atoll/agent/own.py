"""Which layers of a container's image are its user's, and making one of them where there are too many."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from atoll import oci
from atoll.agent.policy import why_left_out
from atoll.agent.runtimes.container import Container
from atoll.oci.lowers import Lowers
from atoll.oci.merge import MOST_LAYERS, MergedSource, Weight, worth_merging
from atoll.oci.stack import Stack

_MUCH: Final = 0.1
"""Part of the own layers' stored bytes that a save must bring before it is looked what it hides:
so that looking costs a part of saving, however large the layers below are."""
_AS_LIVE: Final = 3  # layers that a live save mostly makes: a pass or two, and a cut


@dataclass(frozen=True, slots=True)
class Own:
    """The user's layers of an image, the lowest first, and the directories they are unpacked in."""

    layers: tuple[tuple[oci.Descriptor, oci.Digest], ...] = ()
    lowers: tuple[Path, ...] = ()  # the topmost first
    base: tuple[Path, ...] = ()  # what lies below them, the topmost first

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def stored(self) -> int:
        """Their bytes as stored."""
        return sum(layer.size for layer, _ in self.layers)


def own_layers(image: oci.Image, digests: Collection[str], container: Container) -> Own:
    """The uppermost layers of the image, as far down as `digests` name them.

    None where the runtime has not a directory for each layer of the image: then nothing is known.
    """
    layers = image.manifest.layers
    count = 0
    for layer in reversed(layers):
        if layer.digest not in digests:
            break
        count += 1
    under = len(layers) - count
    if not count or len(container.lowers) < len(layers):
        return Own(base=container.lowers)
    above = len(container.lowers) - under  # docker has a directory of its own on top
    pairs = tuple(zip(layers, image.config.diff_ids, strict=True))
    return Own(pairs[under:], container.lowers[:above], container.lowers[above:])


@dataclass(frozen=True, slots=True)
class Merging:
    """How the user's layers become one: read from the node where it has them, else from the store."""

    own: Own
    content: oci.Content
    limits: oci.Limits = field(default_factory=oci.Limits)

    def source(self, top: oci.Source | None = None) -> MergedSource:
        """All of them, and `top`, as one layer over the base."""
        base = Lowers(self.own.base)
        return MergedSource(
            self.content,
            self.own.layers,
            top=top,
            in_base=lambda path: base.find(path) is not None,
            limits=self.limits,
        )


def is_due(own: Own, container: Container, size: int, *, live: bool, most: int) -> bool:
    """Whether the layers should become one with this save, of `size` logical bytes."""
    most = min(most, MOST_LAYERS)
    if not len(own):
        return False
    if len(own) + (_AS_LIVE if live else 1) > most:
        return True
    if live or size < _MUCH * own.stored:
        return False
    return worth_merging(len(own) + 1, weight(own, container))


def any_replaced(paths: Collection[bytes], own: Own, container: Container) -> bool:
    """Whether any of these files of the own layers was deleted, or another one is in its place.

    Its content stays in its layer then, for as long as there is that layer.
    """
    there = Lowers((container.upper, *own.lowers))
    upper = os.fsencode(container.upper) + b"/"
    found = (there.find(path) for path in paths)
    return any(seen is None or seen.host.startswith(upper) for seen in found)


def weight(own: Own, container: Container) -> Weight:
    """How much of the user's layers nobody sees any more, the writable one included."""
    stack = Stack(container.upper, own.lowers, (), exclude=why_left_out(container))
    for _ in stack.differences():
        pass
    return Weight(stack.totals.size, stack.totals.size - stack.totals.seen)


class Nearest:
    """Content that is read from the first place that has it: the node before the network."""

    def __init__(self, *places: oci.Content | None) -> None:
        self._places = [place for place in places if place is not None]

    def has(self, digest: str) -> bool:
        """Whether any place has it."""
        return any(place.has(digest) for place in self._places)

    def open(self, digest: str) -> BinaryIO:
        """The blob of the first place that has it."""
        return self._place(digest).open(digest)

    def manifest(self, digest: str) -> bytes:
        """The manifest of the first place that has it."""
        return self._place(digest).manifest(digest)

    def _place(self, digest: str) -> oci.Content:
        *others, last = self._places
        return next((place for place in others if place.has(digest)), last)
