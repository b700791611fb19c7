"""What the agent tells of a container and of a save: what crosses a command's output and the wire."""

from __future__ import annotations

from pydantic import BaseModel

from atoll import oci
from atoll.agent.commit import Saved
from atoll.agent.runtimes.container import Container
from atoll.agent.what_changed import what_changed
from atoll.checkpoints.models import Changes


class Noted(BaseModel):
    """A path in a container and what there is to say of it."""

    path: str
    reason: str


class SaveReport(BaseModel):
    """A saved container."""

    runtime: str
    container: str
    image: str
    digest: str
    base: str
    layers: int
    """New ones; 0 where nothing had changed: the image is then the base itself."""
    entries: int
    size: int
    """Logical bytes of the files in the new layers."""
    packed: int
    """Bytes of the new layers as stored."""
    left_out: list[Noted]
    secrets: list[Noted]
    torn: list[str]
    changes: Changes | None
    """What changed against the image; None where that cannot be told."""
    frozen_ms: float
    seconds: float


class Difference(BaseModel):
    """One thing that a container has otherwise than its image."""

    path: str
    kind: str
    size: int


class DifferenceReport(BaseModel):
    """What a container has otherwise than its image; what is not saved is in `left_out`."""

    runtime: str
    container: str
    state: str
    entries: list[Difference]
    size: int
    left_out: list[Noted]
    changes: Changes
    """What that means: packages, and the rest by directory."""


def report(saved: Saved, shown: str) -> SaveReport:
    """What there is to tell of a save to `shown`."""
    copied = saved.copied
    try:
        changes = what_changed(saved.container).changes
    except (OSError, oci.OciError):
        changes = None  # the container has gone since
    return SaveReport(
        runtime=saved.container.runtime,
        container=saved.container.id,
        image=shown,
        digest=saved.image.digest,
        base=saved.base,
        layers=len(copied.layers),
        entries=saved.entries,
        size=saved.size,
        packed=saved.packed,
        left_out=_left_out(copied.left_out),
        secrets=[
            Noted(path=oci.shown(path), reason=reason)
            for path, reason in sorted(copied.secrets.items())
        ],
        torn=[oci.shown(path) for path in copied.torn],
        changes=changes,
        frozen_ms=round(copied.frozen_s * 1000, 1),
        seconds=round(saved.seconds, 3),
    )


def difference(container: Container, source: oci.Source) -> DifferenceReport:
    """What `source` gives of the container, without reading any content."""
    entries = [
        Difference(path=oci.shown(entry.path), kind=entry.kind.value, size=entry.size)
        for entry in source.entries()
    ]
    return DifferenceReport(
        runtime=container.runtime,
        container=container.id,
        state=container.state.value,
        entries=entries,
        size=sum(entry.size for entry in entries),
        left_out=_left_out(source.left_out()),
        changes=what_changed(container).changes,
    )


def _left_out(items: tuple[oci.LeftOut, ...]) -> list[Noted]:
    return [Noted(path=oci.shown(item.path), reason=item.reason) for item in items]
