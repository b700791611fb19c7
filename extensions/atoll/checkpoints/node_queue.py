"""Which saves the agents may work on now: a pure function of how everything stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from atoll.kit import words

AWAY = "agent_away"
"""The reason of a save whose node's agent does not answer."""


@dataclass(frozen=True, slots=True)
class Save:
    """A checkpoint that an agent works on or is to work on. Times are seconds of any one clock."""

    id: str
    server: str
    node: str
    at_rest: bool  # the container has ended: its layer is gone with the next disk pressure
    wanted: bool  # somebody waits for it: a start, a job, a person
    asked: float
    not_before: float = 0.0
    working: bool = False  # an agent has it on lease

    @property
    def rank(self) -> tuple[bool, bool, float, str]:
        """What sorts the line: layers at risk, then those somebody waits for, then by age."""
        return (not self.at_rest, not self.wanted, self.asked, self.id)


@dataclass(frozen=True, slots=True)
class Standing:
    """How everything stands: `present` are the nodes whose agents have asked for work lately."""

    saves: tuple[Save, ...]
    present: frozenset[str]
    now: float
    per_node: int
    at_once: int  # in the whole cluster


@dataclass(frozen=True, slots=True)
class Turn:
    """Whether a waiting save may be worked on; if not its position on its node, and why."""

    admitted: bool
    position: int
    reason: str
    message: str


def turns(standing: Standing) -> Mapping[str, Turn]:
    """The turn of each save that nobody works on, in their order.

    A place is given to the first in the line whose node has one free and an agent that is there;
    who cannot be worked on lets others pass, so that no node holds up another.
    """
    working = [save for save in standing.saves if save.working]
    free = standing.at_once - len(working)
    busy = Counter(save.node for save in working)
    servers = {save.server for save in working}
    ahead: Counter[str] = Counter()
    found: dict[str, Turn] = {}
    for save in sorted(_waiting(standing), key=lambda save: save.rank):
        ahead[save.node] += 1
        position = ahead[save.node]
        if save.not_before > standing.now:
            ahead[save.node] -= 1
            turn = Turn(False, position, "retried_later", "It is tried again shortly.")
        elif save.server in servers:
            turn = Turn(False, position, "server_busy", "Another save of it goes on.")
        elif save.node not in standing.present:
            message = (
                f"The agent of its node {save.node} does not answer. It is saved when the node is"
                " back; if that is lost for good, the operators can remove it from the cluster."
            )
            turn = Turn(False, position, AWAY, message)
        elif busy[save.node] >= standing.per_node:
            message = f"Its node saves others first; {_place(position)}."
            turn = Turn(False, position, "node_busy", message)
        elif free <= 0:
            message = f"{words.count(standing.at_once, 'save')} run already; {_place(position)}."
            turn = Turn(False, position, "cluster_busy", message)
        else:
            turn = Turn(True, position, "its_turn", "It is about to begin.")
            free -= 1
            busy[save.node] += 1
            servers.add(save.server)
        found[save.id] = turn
    return found


def lengths(standing: Standing) -> Mapping[str, int]:
    """How many wait, by node."""
    return Counter(save.node for save in _waiting(standing))


def _waiting(standing: Standing) -> list[Save]:
    return [save for save in standing.saves if not save.working]


def _place(position: int) -> str:
    return "it is the next" if position == 1 else f"it is number {position} there"
