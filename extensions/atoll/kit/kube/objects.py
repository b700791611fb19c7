"""What is read of Kubernetes' objects: the fields in use and no others, decoded by msgspec."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

END_S: Final = 1
"""The deadline of a pod that is to end now: the shortest that there is."""
_ALIKE_MOST: Final = 4096  # kinds of pods, by what their conditions say


class Struct(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """Names as Kubernetes has them; unknown fields are passed over."""


class Owner(Struct, frozen=True):
    """What an object belongs to."""

    kind: str = ""
    name: str = ""
    uid: str = ""


class Metadata(Struct, frozen=True):
    """Of any object."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class KubeObject(Struct, frozen=True):
    """Any object."""

    metadata: Metadata = Metadata()


class Terminated(Struct, frozen=True):
    """How a container ended."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""
    finished_at: str | None = None


class Waiting(Struct, frozen=True):
    """Why a container does not run yet."""

    reason: str = ""
    message: str = ""


class Running(Struct, frozen=True):
    """A container that runs."""

    started_at: str | None = None


class ContainerState(Struct, frozen=True):
    """One of these is set."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Struct, frozen=True):
    """A container as the kubelet sees it; `image_id` is what it was started from, by digest."""

    name: str = ""
    ready: bool = False
    restart_count: int = 0
    image: str = ""
    image_id: str = msgspec.field(default="", name="imageID")
    container_id: str = msgspec.field(default="", name="containerID")
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class Condition(Struct, frozen=True):
    """Something that is so, or not, and why."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


@lru_cache(_ALIKE_MOST)
def _once(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """The same conditions, kept once: a third of what a pod would take, and most pods are alike."""
    return conditions


class PodStatus(Struct, frozen=True):
    """What a pod is."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    start_time: str | None = None
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()

    def __post_init__(self) -> None:
        """Called for each that is decoded."""
        msgspec.structs.force_setattr(self, "conditions", _once(self.conditions))


class PodSpec(Struct, frozen=True):
    """What is wanted of a pod."""

    node_name: str = ""
    active_deadline_seconds: int | None = None


class Pod(KubeObject, frozen=True):
    """A pod."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def ended(self) -> bool:
        """Whether none of its containers will ever run again."""
        return self.status.phase in ("Succeeded", "Failed")

    def ended_in(self, name: str) -> bool:
        """Whether this container of it will never run again; others may. For `restartPolicy: Never`."""
        one = self.container(name)
        return self.ended or (one is not None and one.state.terminated is not None)

    @property
    def told_to_end(self) -> bool:
        """Whether its kubelet was told to end it now, and keep it."""
        return self.spec.active_deadline_seconds == END_S

    def container(self, name: str) -> ContainerStatus | None:
        """The status of one of its containers, None before the kubelet has told any."""
        return next((one for one in self.status.container_statuses if one.name == name), None)

    def condition(self, type_: str) -> Condition | None:
        """The condition of this type."""
        return next((one for one in self.status.conditions if one.type == type_), None)


class NodeSpec(Struct, frozen=True):
    """What is wanted of a node."""

    unschedulable: bool = False


class NodeStatus(Struct, frozen=True):
    """What a node has and is."""

    allocatable: dict[str, str] = {}
    conditions: tuple[Condition, ...] = ()


class Node(KubeObject, frozen=True):
    """A node."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class Reference(Struct, frozen=True):
    """What an event is about."""

    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""


class Event(KubeObject, frozen=True):
    """What some part of Kubernetes noticed."""

    involved_object: Reference = Reference()
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int | None = None
    last_timestamp: str | None = None
    event_time: str | None = None
