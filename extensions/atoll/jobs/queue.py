"""Who may begin: decisions about a queue as pure functions of how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job in the line; `ready` once its environment is known.

    If it has to wait for that, `reason` and `message` say why; they are None until it was looked up.
    """

    id: str
    ready: bool
    reason: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Line:
    """A queue as it stands: `active` of `places` are in use, `waiting` is in order."""

    name: str
    places: int
    active: int
    waiting: tuple[Waiting, ...] = ()

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """Job id → its place in the line, from 1."""
        return {job.id: number for number, job in enumerate(self.waiting, start=1)}


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a job may begin now; if not, where it stands and why, for programs and for people."""

    admit: bool
    position: int
    reason: str
    message: str


def decide(line: Line, id_: str) -> Decision:
    """The decision about one job that waits in the line.

    First come, first served: one whose environment is still being saved keeps its place and lets
    others pass.
    """
    position = line.positions[id_]
    ahead = line.waiting[: position - 1]
    job = line.waiting[position - 1]
    if not job.ready:
        return Decision(
            admit=False,
            position=position,
            reason=job.reason or "preparing_environment",
            message=job.message or "Your environment is being looked up.",
        )
    before = sum(other.ready or other.reason is None for other in ahead)
    if before < line.places - line.active:
        return Decision(True, position, "its_turn", "It is about to begin.")
    return Decision(False, position, "queue_full", _full(line, len(ahead)))


def _full(line: Line, ahead: int) -> str:
    """Why it waits: who is ahead, and that the places are taken."""
    before = f"{ahead} ahead of you" if ahead else "You are next"
    if line.active < line.places:
        return f"{before}; the free places are theirs."
    if line.places == 1:
        return f"{before}; the only place is in use."
    return f"{before}; {line.active} of {line.places} places are in use."
