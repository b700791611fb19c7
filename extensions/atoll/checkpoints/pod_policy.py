"""What is to be done about a server's pod: a pure function of what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from atoll.checkpoints.models import ServerStatus

_WITH_A_START = (ServerStatus.PREPARED, ServerStatus.RUNNING)
_SETTLING = (ServerStatus.UNSAVED, ServerStatus.SAVING)


class Act(StrEnum):
    """What the service does next about a pod."""

    NOTHING = "nothing"
    PLACE = "place"  # write down where its container is: it could not be saved without
    TELL_ENDED = "tell_ended"  # it ended by itself: its server is unsaved from now on
    CUT_OFF = (
        "cut_off"  # its node does not answer, and the cluster has given it up: so does the hub
    )
    LABEL = "label"  # protect a pod that nothing holds from being deleted: its layer goes with it
    END = "end"  # its server is to be saved, and something in it runs: whoever stopped it came no
    # further, or the server ended by itself and atoll-hold is still beside it
    DELETE = "delete"  # nothing of it is unsaved any more
    ORPHAN = "orphan"  # nobody knows its start: it is left alone, and listed


@dataclass(frozen=True, slots=True)
class Kept:
    """What is written down of the server whose pod it is."""

    status: ServerStatus
    running_id: str | None  # the start that may be unsaved
    settled_id: str | None  # the last start that is not
    placed: bool  # whether it is known where its container is
    left: bool = False  # a save of this pod's start goes on, or is to: its server went on without


@dataclass(frozen=True, slots=True)
class SeenPod:
    """What Kubernetes says of the pod."""

    start_id: str
    ended: bool  # its server will not run again
    ending: bool  # nothing else of it will run for long: it is over, or was told to end
    leaving: bool  # somebody has deleted it
    labelled: bool  # protected as unsaved
    placeable: bool  # its node and its container's image are known
    unheld: bool = (
        False  # atoll-hold beside its server has ended: a deletion would not wait for a save
    )
    cut_off: bool = False  # it was deleted while its node does not answer, which nobody takes back


def decide(pod: SeenPod, kept: Kept | None) -> Act:
    """The next act; after it the pod, or what is kept, has changed, and is looked at again.

    Ids of starts sort by time, and a start begins when the one before it is settled: what is not
    newer than the last settled one is not unsaved. The start that may be unsaved is known by
    itself, since clocks go back at times.
    """
    if kept is None or not pod.start_id:
        return Act.ORPHAN
    if kept.left:
        return Act.NOTHING
    if pod.start_id == kept.running_id:
        return _unsettled(pod, kept)
    if kept.settled_id is not None and pod.start_id <= kept.settled_id:
        return Act.NOTHING if pod.leaving else Act.DELETE
    return Act.ORPHAN


def _unsettled(pod: SeenPod, kept: Kept) -> Act:
    """The next act about the pod of the very start that may be unsaved."""
    if pod.placeable and not kept.placed:
        return Act.PLACE
    if kept.status in _WITH_A_START:
        return _with_a_start(pod)
    if kept.status not in _SETTLING or pod.leaving:
        return Act.NOTHING  # being prepared; or held by its preStop hook until it is saved
    if not pod.ending:
        return Act.END
    return Act.NOTHING if pod.labelled else Act.LABEL


def _with_a_start(pod: SeenPod) -> Act:
    """The next act about the pod of a server that runs, or is about to, as far as is written down."""
    if pod.ended:
        return Act.TELL_ENDED
    if pod.cut_off:
        return Act.CUT_OFF
    bare = pod.unheld and not pod.labelled and not pod.leaving
    return Act.LABEL if bare else Act.NOTHING
