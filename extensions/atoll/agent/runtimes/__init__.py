"""Container runtimes: what containers there are on this node, and where their changes lie."""

from atoll.agent.runtimes.container import (
    Base,
    Container,
    IdRange,
    ImageReference,
    Runtime,
    State,
    Tars,
)

__all__ = ["Base", "Container", "IdRange", "ImageReference", "Runtime", "State", "Tars"]
