"""A container that nobody sees, for what needs no more of it than its directories."""

from __future__ import annotations

from pathlib import Path

from atoll.agent.runtimes.container import Container, ImageReference, State


def ended(upper: Path, *lowers: Path, targets: tuple[bytes, ...] = ()) -> Container:
    """One that has ended, with these directories, the topmost first; `targets` are mounted in it."""
    return Container(
        runtime="test",
        id="c",
        name="c",
        state=State.EXITED,
        pid=None,
        image=ImageReference("x"),
        snapshotter="overlayfs",
        upper=upper,
        lowers=lowers,
        targets=targets,
    )
