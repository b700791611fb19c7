"""What a starting pod is doing, read from the pod and its events: in words, and whether it can go on.

Pure functions of what Kubernetes says; its own words are passed on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from atoll.kit import words
from atoll.kit.kube.objects import ContainerStatus, Event, Pod, Terminated, Waiting

NOTEBOOK: Final = "notebook"
"""The container that is the user's server, as KubeSpawner names it."""
HOLD: Final = "atoll-hold"
"""The container that holds a deleted pod until it is saved."""

_NODES: Final = re.compile(
    r"(?P<fit>\d+)/(?P<all>\d+) nodes are available: (?P<why>.*?)\.?"
    r"(?: no new claims to deallocate,?)?(?: preemption: .*)?$",
    re.DOTALL,
)
_PULLED: Final = re.compile(r"Image size: (\d+) bytes")
_LOST_IMAGE: Final = re.compile(r"image.*not found", re.DOTALL)
_NO_REASON: Final = re.compile(r'Back-off pulling image "[^"]*"')
_PULL_TRIES: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"})
_PULL_NEVER: Final = frozenset({"InvalidImageName", "ErrImageNeverPull", "ImageInspectError"})
_CANNOT_RUN: Final = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"}
)
# What a registry or the way to it says while it is away: the image itself may be fine.
_AWAY: Final = re.compile(
    r"connection refused|connection reset|no such host|i/o timeout|timed? ?out|deadline exceeded"
    r"|\bEOF\b|no route to host|network is unreachable|TLS handshake|too many requests|toomanyrequests"
    r"|\b(429|500|502|503|504)\b|server misbehaving|Unavailable",
    re.IGNORECASE,
)


class Trouble(StrEnum):
    """What kind of obstacle a start met."""

    NO_NODE = "no_node"  # none has room, or fits; one may come
    GATED = "gated"  # something else admits it, such as Kueue
    VOLUME = "volume"
    PULL = "pull"  # the registry does not answer; it may again
    IMAGE = "image"  # cannot be pulled, whatever one waits
    CONFIGURATION = "configuration"  # the container cannot be made
    ENDED = "ended"  # the server ran, and ended
    MEMORY = "memory"
    REJECTED = "rejected"  # by the node, before anything ran
    DELETED = "deleted"


WAITING: Final = frozenset({Trouble.NO_NODE, Trouble.GATED, Trouble.VOLUME, Trouble.PULL})
"""What may pass by itself."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where a start is: for people, and as a share of the whole start."""

    percent: int
    message: str
    trouble: Trouble | None = None
    detail: str = ""  # Kubernetes' own words
    container: str = NOTEBOOK  # the one in trouble
    exit_code: int | None = None
    running: bool = False  # the server's process runs

    @property
    def failed(self) -> bool:
        """Whether waiting does not help."""
        return self.trouble is not None and self.trouble not in WAITING


def read(pod: Pod, events: Sequence[Event], gates: Sequence[str] = ()) -> Step:
    """Where the start of this pod is; `events` are its own, oldest first."""
    if pod.ended:
        return _ended(pod)
    if pod.metadata.deletion_timestamp is not None:
        words_ = pod.status.message or "it was deleted by somebody else"
        return Step(95, "the server's pod is being deleted", Trouble.DELETED, words_)
    scheduled = pod.condition("PodScheduled")
    if not pod.spec.node_name:
        if gates or (scheduled and scheduled.reason == "SchedulingGated"):
            return _gated(gates, scheduled.message if scheduled else "")
        if scheduled is not None and scheduled.status == "False":
            return _unscheduled(scheduled.message, events)
        return Step(52, "looking for a node")
    return _on_node(pod, events)


def exit_status(pod: Pod) -> int | None:
    """None while the server runs or may still; else its exit status, 1 where none is known."""
    status = pod.container(NOTEBOOK)
    if status is not None and status.state.terminated is not None:
        return status.state.terminated.exit_code
    return 1 if pod.ended else None


def never_ran(pod: Pod) -> bool:
    """Whether the server's container never began, so that nothing in it can be lost."""
    status = pod.container(NOTEBOOK)
    return status is None or not status.container_id


def _gated(gates: Sequence[str], message: str) -> Step:
    names = ", ".join(gates)
    if any(gate.startswith("kueue.x-k8s.io/") for gate in gates):
        said = "waiting in the cluster's queue (Kueue) to be admitted"
    else:
        said = f"waiting for the cluster to admit it ({names or 'a scheduling gate'})"
    return Step(52, said, Trouble.GATED, message)


def _unscheduled(message: str, events: Sequence[Event]) -> Step:
    trouble = Trouble.VOLUME if _about_volume(message) else Trouble.NO_NODE
    found = _NODES.search(message)
    if trouble == Trouble.VOLUME:
        said = f"waiting for a volume: {_first_sentence(message)}"
    elif found is not None:
        said = f"waiting for a node: {found['fit']} of {found['all']} can take it ({found['why']})"
    else:
        said = f"waiting for a node: {_first_sentence(message)}"
    for event in reversed(events):
        if event.reason in ("TriggeredScaleUp", "Nominated"):
            said += "; one is being added"
            break
        if event.reason == "NotTriggerScaleUp":
            said += "; the cluster cannot add one"
            break
    return Step(52, said, trouble, message)


def _on_node(pod: Pod, events: Sequence[Event]) -> Step:
    for status in _statuses(pod):
        waiting = status.state.waiting
        if waiting is not None and (step := _stuck(status, waiting)) is not None:
            return step
        ended = status.state.terminated
        if ended is not None and (status.name == NOTEBOOK or ended.exit_code != 0):
            return _terminated(status.name, ended)
    notebook = pod.container(NOTEBOOK)
    if notebook is not None and notebook.state.running is not None:
        return Step(80, "starting JupyterLab", running=True)
    for event in reversed(events):
        if event.reason in ("FailedMount", "FailedAttachVolume"):
            said = f"waiting for a volume: {_first_sentence(event.message)}"
            return Step(56, said, Trouble.VOLUME, event.message)
        if event.reason in ("Pulling", "Pulled", "Created", "Started"):
            return _pulling(event)
    return Step(55, f"making room for it on the node {pod.spec.node_name}")


def _pulling(event: Event) -> Step:
    if event.reason == "Pulling":
        image = event.message.removeprefix("Pulling image ").strip('"')
        return Step(60, f"pulling the image {_short(image)}")
    size = _PULLED.search(event.message)
    if event.reason == "Pulled" and size and event.message.startswith("Successfully pulled"):
        return Step(75, f"the image is there ({words.size(int(size[1]))})")
    return Step(75, "the image is there")


def _stuck(status: ContainerStatus, waiting: Waiting) -> Step | None:
    if waiting.reason in _PULL_TRIES | _PULL_NEVER:
        image = _short(status.image)
        message = waiting.message or waiting.reason
        if waiting.reason in _PULL_TRIES and _AWAY.search(message):
            said = f"waiting for the registry to answer, to pull {image}"
            return Step(60, said, Trouble.PULL, message, status.name)
        if _NO_REASON.fullmatch(message):  # it was told before, and will be again
            return Step(60, f"pulling the image {image} again", Trouble.PULL, message, status.name)
        said = f"the image {image} cannot be pulled"
        return Step(60, said, Trouble.IMAGE, message, status.name)
    if waiting.reason == "CreateContainerError" and _LOST_IMAGE.search(waiting.message):
        said = f"the image {_short(status.image)} is not on the node any more"
        return Step(70, said, Trouble.IMAGE, waiting.message, status.name)
    if waiting.reason in _CANNOT_RUN:
        said = "the node cannot make the server's container"
        message = f"{waiting.reason}: {waiting.message}"
        return Step(70, said, Trouble.CONFIGURATION, message, status.name)
    return None


def _terminated(name: str, ended: Terminated) -> Step:
    detail = ": ".join(filter(None, (ended.reason, ended.message.strip())))
    if ended.reason == "OOMKilled":
        said = "the server needed more memory than it may have"
        return Step(80, said, Trouble.MEMORY, detail, name, ended.exit_code)
    said = f"the server ended while it was starting (exit status {ended.exit_code})"
    return Step(80, said, Trouble.ENDED, detail, name, ended.exit_code)


def _ended(pod: Pod) -> Step:
    """A pod that is over: by its containers, or by the node that turned it down."""
    for status in _statuses(pod):
        ended = status.state.terminated
        if ended is not None and (status.name == NOTEBOOK or ended.exit_code != 0):
            return _terminated(status.name, ended)
    detail = ": ".join(filter(None, (pod.status.reason, pod.status.message)))
    said = f"the node turned the server down ({pod.status.reason or 'no reason given'})"
    return Step(70, said, Trouble.REJECTED, detail)


def _statuses(pod: Pod) -> list[ContainerStatus]:
    """Of all its containers, the server's first: what became of the others follows from it."""
    known = (*pod.status.init_container_statuses, *pod.status.container_statuses)
    return sorted(known, key=lambda one: one.name != NOTEBOOK)


def _about_volume(message: str) -> bool:
    return "PersistentVolumeClaim" in message or "persistentvolumeclaim" in message


def _first_sentence(message: str) -> str:
    return message.split(". ", 1)[0].removesuffix(".")[:300]


def _short(image: str) -> str:
    """An image as people know it: without a registry's 64 digits."""
    return re.sub(r"@sha256:([0-9a-f]{8})[0-9a-f]{56}", r" (\1…)", image)
