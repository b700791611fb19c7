"""What a job's pod says: how the job stands, as a pure function of the pod and of the job's claim.

The claim decides. Who has it, and said how it ended, is believed whatever became of the pod; before
anybody has it a pod that is gone can be made again, and afterwards never.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Final

import msgspec

from atoll.jobs import endings
from atoll.jobs.claims import ClaimRow
from atoll.jobs.manifests import CONTAINER, MEMORY
from atoll.jobs.models import Failure, JobStatus
from atoll.jobs.runners import Outcome, Phase, Said, Seen
from atoll.kit.kube.objects import Pod, Terminated, Waiting

NEVER: Final = Outcome(
    JobStatus.FAILED,
    "start_failed",
    "The job's pod could not be started; the log may say why.",
)

_PULL: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable",
     "SignatureValidationFailed", "ImageInspectError", "InvalidImageName"}
)  # fmt: skip
_REFUSED: Final = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError",
     "CrashLoopBackOff"}
)  # fmt: skip
_AT_ONCE: Final = frozenset({"InvalidImageName"})  # what no time heals
_SILENT_S: Final = 60.0  # pods are heard every ten seconds
_CHANGES_S: Final = 5.0  # changes are told; this is for what time alone changes
_WORDS_S: Final = 2.0  # the words of events are not told
_ASIDE: Final = re.compile(r"\s*(no new claims to deallocate,\s*)?preemption:.*")
"""What the scheduler adds for each job that waits: that nobody else is put out for it."""
_EVICTED_BY: Final = {
    "DisruptionTarget": "the cluster",
    "TerminationTarget": "the cluster's queue",  # Kueue's
}
"""Conditions of a pod that is deleted for the sake of others."""
_SHOWN: Final = 600  # characters of Kubernetes' own words
_KEPT: Final = "What it printed and computed until then is kept."


class Stage(Enum):
    """How far a pod is."""

    GONE = auto()
    GATED = auto()  # somebody else, such as Kueue, decides when it may be scheduled
    SCHEDULING = auto()
    CREATING = auto()  # on its node: image, volumes, container
    RUNNING = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What counts beside pod and claim."""

    now: datetime
    pull_within_s: float
    words: str = ""  # what Kubernetes says besides: the newest event, Kueue's reason, a log's end


def stage(pod: Pod | None) -> Stage:
    """How far the pod is."""
    if pod is None:
        return Stage.GONE
    container = pod.container(CONTAINER)
    if pod.ended or (container is not None and container.state.terminated is not None):
        return Stage.ENDED
    if container is not None and container.state.running is not None:
        return Stage.RUNNING
    scheduled = pod.condition("PodScheduled")
    if scheduled is None or scheduled.status != "True":
        gated = scheduled is not None and scheduled.reason == "SchedulingGated"
        return Stage.GATED if gated else Stage.SCHEDULING
    return Stage.CREATING


def stuck(pod: Pod, now: datetime) -> bool:
    """Whether the pod should be gone by now: its node does not answer."""
    due = moment(pod.metadata.deletion_timestamp)
    return due is not None and (now - due).total_seconds() > _SILENT_S


def seen(claim: ClaimRow | None, pod: Pod | None, around: Circumstances) -> Seen:
    """How the job stands."""
    if claim is None:
        return Seen(Phase.ABSENT, again_s=_WORDS_S)
    if claim.result is not None:
        return _said(claim, pod, around)
    if claim.given_up:
        return Seen(Phase.ENDED, outcome=NEVER)
    return _waiting(pod, around) if claim.open else _running(claim, pod, around)


def _said(claim: ClaimRow, pod: Pod | None, around: Circumstances) -> Seen:
    """What its process said at its end, or the platform where it gave up.

    A process that was told to end, and not by us, does not know why: what ends its pod says so, in
    the pod's status, and that may come later than the word of the process.
    """
    said = Said.read(claim.result or {})
    outcome = said.outcome if said is not None else _lost(claim, "ended without a word")
    step = said.step if said is not None and any(said.step) else (claim.cell, claim.cells or 0)
    if outcome.status is JobStatus.STOPPED and not claim.ending:
        if pod is not None and stage(pod) is not Stage.ENDED and not stuck(pod, around.now):
            message = "Its pod is being ended."
            return Seen(Phase.RUNNING, *step, claim.claimed_at, None, "ending", message, _CHANGES_S)
        outcome = _taken(claim, pod)
    return Seen(Phase.ENDED, *step, claim.claimed_at, outcome)


def _running(claim: ClaimRow, pod: Pod | None, around: Circumstances) -> Seen:
    """Somebody has it."""
    cell, cells, began = claim.cell, claim.cells or 0, claim.claimed_at
    silent_s = (around.now - (claim.heard_at or around.now)).total_seconds()
    lost_node = pod is not None and stuck(pod, around.now) and silent_s > _SILENT_S
    if lost_node or stage(pod) in (Stage.GONE, Stage.ENDED):
        said = _last_words(pod)
        if said is not None and said.status is not JobStatus.STOPPED:
            return Seen(Phase.ENDED, *said.step, began, said.outcome)
        return Seen(Phase.ENDED, cell, cells, began, _taken(claim, pod))
    reason = message = None
    if silent_s > _SILENT_S:
        reason = "silent"
        message = f"Nothing was heard from its pod for {round(silent_s)} s; it may go on."
    elif claim.cells is None:
        reason, message = "starting", "Its kernel is coming up."
    phase = Phase.STARTING if claim.cells is None else Phase.RUNNING
    return Seen(phase, cell, cells, began, None, reason, message, _CHANGES_S)


def _waiting(pod: Pod | None, around: Circumstances) -> Seen:
    """Nobody has it yet."""
    at = stage(pod)
    if pod is None or at is Stage.ENDED or stuck(pod, around.now):
        return Seen(Phase.ABSENT, again_s=_WORDS_S)
    if pod.metadata.deletion_timestamp is not None:
        return _wait("deleted", "Its pod was deleted before it began; another one follows.")
    if at is Stage.GATED:
        why = around.words or _condition(pod, "PodScheduled")
        return _wait("gated", f"The cluster's queue has not admitted it: {why}", _WORDS_S)
    if at is Stage.SCHEDULING:
        return _unscheduled(pod)
    if at is Stage.CREATING:
        return _creating(pod, around)
    message = "Its pod runs and is about to take the job."
    if around.words:
        message = f"Its pod runs, but has not taken the job yet: {_short(around.words)}"
    return _wait("starting", message, _WORDS_S)


def _unscheduled(pod: Pod) -> Seen:
    why = _ASIDE.sub("", _condition(pod, "PodScheduled"))
    if not why:  # for a moment: nothing worth writing down
        return Seen(Phase.STARTING, again_s=_CHANGES_S)
    return _wait("unschedulable", f"No node can take it now: {why}")


def _creating(pod: Pod, around: Circumstances) -> Seen:
    """On its node; what goes wrong there heals, or does not within the time for it."""
    container = pod.container(CONTAINER)
    waiting = (container.state.waiting if container is not None else None) or Waiting()
    image = container.image if container is not None else ""
    pulling, refused = waiting.reason in _PULL, waiting.reason in _REFUSED
    if not pulling and not refused:
        words = f": {_short(around.words)}" if around.words else "."
        return _wait(
            "creating", f"Its pod is being set up on {pod.spec.node_name}{words}", _WORDS_S
        )
    why = _short(waiting.message or waiting.reason).rstrip(".")
    if pulling:
        reason, what = "image_pull", f"Its image {image} cannot be pulled: {why}"
    else:
        reason, what = "container", f"Its container cannot be started: {why}"
    began = moment(pod.status.start_time) or moment(pod.metadata.creation_timestamp)
    waited_s = (around.now - began).total_seconds() if began is not None else 0.0
    if waited_s <= around.pull_within_s and waiting.reason not in _AT_ONCE:
        return _wait(reason, f"{what}. It is tried again.", _WORDS_S)
    hint = (
        "Run it in another environment, or show this to an administrator: the registry may be away,"
        " or the image gone."
        if pulling
        else "Show this to an administrator."
    )
    return Seen(Phase.ENDED, outcome=Outcome(JobStatus.FAILED, reason, f"{what}. {hint}"))


def _wait(reason: str, message: str, again_s: float = _CHANGES_S) -> Seen:
    return Seen(Phase.STARTING, reason=reason, message=_short(message, 2 * _SHOWN), again_s=again_s)


def _taken(claim: ClaimRow, pod: Pod | None) -> Outcome:
    """Why a pod ended that had the job and said no last word of its own."""
    if claim.ending:
        return Outcome(JobStatus.STOPPED, "stopped", f"It was stopped{_cell(claim)}.")
    if pod is None:
        return _lost(claim, "was deleted by somebody", "deleted")
    return _killed(claim, pod) or _evicted(claim, pod) or _deleted(claim, pod)


def _killed(claim: ClaimRow, pod: Pod) -> Outcome | None:
    """For a limit of its own."""
    ended = _terminated(pod)
    if ended is not None and ended.reason == "OOMKilled":
        memory = pod.metadata.annotations.get(MEMORY, "")
        said = endings.out_of_memory(claim.cell, memory)
        return Outcome(JobStatus.FAILED, "oom_killed", said, Failure(cell=claim.cell or None))
    if pod.status.reason == "DeadlineExceeded":
        message = f"It went on beyond its time limit{_cell(claim)}."
        return Outcome(JobStatus.FAILED, "time_limit", message)
    return None


def _evicted(claim: ClaimRow, pod: Pod) -> Outcome | None:
    """For the sake of others, or of its node."""
    if pod.status.reason == "Evicted":
        return _lost(claim, "was evicted by its node", "evicted", _short(pod.status.message))
    for type_, who in _EVICTED_BY.items():
        found = pod.condition(type_)
        if found is not None and found.status == "True":
            said = _short(found.message or found.reason)
            return _lost(claim, f"was evicted by {who}", "evicted", said)
    return None


def _deleted(claim: ClaimRow, pod: Pod) -> Outcome:
    """By somebody, with its node, or nobody knows."""
    ended = _terminated(pod)
    if pod.metadata.deletion_timestamp is not None and ended is None and claim.result is None:
        node = pod.spec.node_name
        return _lost(claim, f"is on a node, {node}, that does not answer any more", "node_lost")
    if pod.metadata.deletion_timestamp is not None or claim.result is not None:
        return _lost(claim, "was deleted by somebody", "deleted")
    code = f" with the code {ended.exit_code}" if ended is not None else ""
    return _lost(claim, f"ended{code} without a word", "lost", _short(pod.status.message))


def how_it_ended(pod: Pod) -> str:
    """A line about a pod that ended before it took its job."""
    ended = _terminated(pod) or Terminated(reason=pod.status.reason, message=pod.status.message)
    said = ended.reason or pod.status.phase
    return (
        f"[Its pod ended ({said}, code {ended.exit_code}). {_short(ended.message)}".strip() + "]\n"
    )


def _lost(claim: ClaimRow, what: str, reason: str = "lost", why: str = "") -> Outcome:
    said = f" ({why.rstrip('.')})" if why else ""
    message = f"Its pod {what}{_cell(claim)}{said}. {_KEPT}"
    return Outcome(JobStatus.FAILED, reason, message, Failure(cell=claim.cell or None))


def _cell(claim: ClaimRow) -> str:
    return f" in cell {claim.cell}" if claim.cell else ""


def _terminated(pod: Pod) -> Terminated | None:
    container = pod.container(CONTAINER)
    return container.state.terminated if container is not None else None


def _last_words(pod: Pod | None) -> Said | None:
    """The result as the process left it in its pod, for a service that was away for too long."""
    ended = _terminated(pod) if pod is not None else None
    if ended is None or not ended.message:
        return None
    try:
        found = json.loads(ended.message)
    except ValueError:
        return None
    return Said.read(found) if isinstance(found, dict) else None


def _condition(pod: Pod, type_: str) -> str:
    found = pod.condition(type_)
    return _short(found.message or found.reason) if found is not None else ""


def _short(text: str, most: int = _SHOWN) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[:most] + "…"


def moment(text: str | None) -> datetime | None:
    """A time as Kubernetes writes it, such as 2026-11-25T15:44:00Z."""
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def read(document: Mapping[str, Any]) -> Pod:
    """The pod that a JSON document describes."""
    return msgspec.convert(document, Pod)
