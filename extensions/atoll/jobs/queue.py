"""Who may begin: decisions about a queue as pure functions of how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    user: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a job may begin now; if not, where it stands and why, for programs and for people."""

    admit: bool
    position: int
    reason: str
    message: str


@dataclass(frozen=True)
class Line:
    """A queue as it stands: `active` of `places` are in use, `waiting` is in order.

    `per_user` is how many places one user may have, 0 for all of them; `active_of` how many each has.
    """

    name: str
    places: int
    active: int
    waiting: tuple[Waiting, ...] = ()
    per_user: int = 0
    active_of: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """Job id → its place in the line, from 1."""
        return {job.id: number for number, job in enumerate(self.waiting, start=1)}

    @cached_property
    def decisions(self) -> Mapping[str, Decision]:
        """Job id → the decision about it, in the order of the line.

        First come, first served: one whose environment is still being saved keeps its place and lets
        others pass, and so does one whose user has all the places that are to be had.
        """
        free = self.places - self.active
        taken_of = dict(self.active_of)
        decisions = {}
        for position, job in enumerate(self.waiting, start=1):
            capped = 0 < self.per_user <= taken_of.get(job.user, 0)
            decision = _decision(self, job, position, capped=capped, free=free > 0)
            decisions[job.id] = decision
            # one that was not looked up yet may be ready the next moment: its place is kept
            if decision.admit or (job.reason is None and not job.ready and not capped):
                free -= 1
                taken_of[job.user] = taken_of.get(job.user, 0) + 1
        return decisions


@dataclass(frozen=True, slots=True)
class Before:
    """How many are before a job: places in use and jobs that wait ahead, of all and of its user."""

    active: int
    ahead: int
    active_of_user: int = 0
    ahead_of_user: int = 0


def certain(before: Before, places: int, per_user: int) -> bool:
    """Whether a job that is ready may begin whatever becomes of those ahead of it.

    So is most of them decided, without reading a line that may be long.
    """
    own = before.active_of_user + before.ahead_of_user
    return before.active + before.ahead < places and (per_user == 0 or own < per_user)


def decide(line: Line, id_: str) -> Decision:
    """The decision about one job that waits in the line."""
    return line.decisions[id_]


def admitted(line: Line) -> list[str]:
    """Ids of those who may begin now, in order."""
    return [id_ for id_, decision in line.decisions.items() if decision.admit]


def _decision(line: Line, job: Waiting, position: int, *, capped: bool, free: bool) -> Decision:
    if not job.ready:
        reason = job.reason or "preparing_environment"
        message = job.message or "Your environment is being looked up."
        return Decision(False, position, reason, message)
    if capped:
        return Decision(False, position, "user_full", _yours(line.per_user))
    if free:
        return Decision(True, position, "its_turn", "It is about to begin.")
    return Decision(False, position, "queue_full", _full(line, position - 1))


def _yours(per_user: int) -> str:
    if per_user == 1:
        return "You may run one job at a time; it begins when the one before it is over."
    return f"You may run {per_user} jobs at a time; it begins when one of them is over."


def _full(line: Line, ahead: int) -> str:
    """Why it waits: who is ahead, and that the places are taken."""
    before = f"{ahead} ahead of you" if ahead else "You are next"
    if line.active < line.places:
        return f"{before}; the free places are theirs."
    if line.places == 1:
        return f"{before}; the only place is in use."
    return f"{before}; {line.active} of {line.places} places are in use."
