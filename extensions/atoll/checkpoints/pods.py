"""Servers that are pods: seen to end, ended where their stop was cut off, deleted once they are saved.

The hub deletes no pod. A pod's containers keep their writable layer while the pod is there, so it
goes when the service's database says that nothing of it is unsaved, and not before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

from atoll.checkpoints import left
from atoll.checkpoints.ground import Containment
from atoll.checkpoints.lost import Lost
from atoll.checkpoints.models import Place, ServerStatus
from atoll.checkpoints.pod_policy import Act, Kept, SeenPod, decide
from atoll.checkpoints.service import Checkpoints
from atoll.checkpoints.store import OvertakenError, ServerRow, find_server
from atoll.kit.errors import AtollError, UnavailableError
from atoll.kit.kube.access import Access
from atoll.kit.kube.api import (
    Body,
    KubeApi,
    KubeConflictError,
    KubeNotFoundError,
)
from atoll.kit.kube.informer import Informer
from atoll.kit.kube.objects import END_S, Pod
from atoll.kit.names import server_segment

log = logging.getLogger(__name__)

SERVER: Final = "atoll.dev/server"
"""The label of all servers' pods."""
UNSAVED: Final = "atoll.dev/unsaved"
"""The label that protects an ended pod from everybody's deletes but the service's."""
START: Final = "atoll.dev/start-id"
USER: Final = "hub.jupyter.org/username"
NAME: Final = "hub.jupyter.org/servername"
CONTAINER: Final = "notebook"
HOLD: Final = "atoll-hold"
EVICTED: Final = "Evicted"
"""The reason of a pod, and of an event, where a node's kubelet puts a pod out."""

_UNSAVED: Final = "This server's environment is not saved yet; it may go once it is."
_NOBODYS: Final = (
    "This server was ended to be saved, and this platform does not know it: another one, or an older"
    f" database, may. Who gives up what it changed removes its label {UNSAVED}."
)
_END: Final[list[Body]] = [
    {"op": "add", "path": "/metadata/labels/atoll.dev~1unsaved", "value": "true"},
    {"op": "add", "path": "/spec/activeDeadlineSeconds", "value": END_S},
]
_ASKED_S: Final = 2.0  # the API server waits for the answer that this is for, for 5 s
_AGAIN_S: Final = 0.5  # after an act: the informer may not have its effect yet


class PodList:
    """The pods of servers as the cluster has them. `state` blocks, for a call at most."""

    def __init__(self, access: Access, api: KubeApi, namespace: str) -> None:
        self._api = api
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._events = f"/api/v1/namespaces/{namespace}/events"
        self.informer = Informer(access, self._path, Pod, labels=f"{SERVER}=true")

    def of_start(self, start_id: str) -> Pod | None:
        """The pod of this start."""
        for pod in self.informer.snapshot().values():
            if pod.metadata.annotations.get(START) == start_id:
                return pod
        return None

    def state(self, start_id: str) -> Containment:
        """How the pod of this start stands; the cluster is asked where a list may be behind it.

        Raises UnavailableError while the cluster cannot be asked.
        """
        if not self.informer.synced:
            raise UnavailableError("The pods of the cluster are not listed yet.")
        pod = self.of_start(start_id)
        if pod is not None and not pod.ended and pod.metadata.deletion_timestamp is None:
            pod = self._now(pod)
        if pod is None:
            return Containment.GONE
        if pod.ended:
            return Containment.ENDED
        if pod.metadata.deletion_timestamp is not None:
            return Containment.LEAVING
        return Containment.ENDED if pod.ended_in(CONTAINER) else Containment.RUNNING

    def leaving(self, start_id: str) -> bool:
        """Whether its server may run while it is being deleted, or is gone, as far as the list says."""
        pod = self.of_start(start_id)
        if pod is None:
            return True
        return not pod.ended_in(CONTAINER) and pod.metadata.deletion_timestamp is not None

    def named(self, key: str) -> Pod | None:
        """The server's pod of this key as the cluster has it now."""
        namespace, _, name = key.partition("/")
        if self._path != f"/api/v1/namespaces/{namespace}/pods":
            return None
        try:
            found = self._api.get(f"{self._path}/{name}", within_s=_ASKED_S)
        except KubeNotFoundError:
            return None
        pod = msgspec.convert(found, Pod)
        return pod if pod.metadata.labels.get(SERVER) == "true" else None

    def _now(self, pod: Pod) -> Pod | None:
        """This very pod as it is now, None where it is gone."""
        try:
            found = self._api.get(f"{self._path}/{pod.metadata.name}")
        except KubeNotFoundError:
            return None
        now = msgspec.convert(found, Pod)
        return now if now.metadata.uid == pod.metadata.uid else None

    def evicted(self, pod: Pod) -> str | None:
        """Why its node put the pod out, where it did.

        The pod itself does not say so where its server ended in order within the second that it was
        given: the kubelet calls it a success then. An event is all there is.
        """
        if pod.status.reason == EVICTED:
            return pod.status.message
        which = {"fieldSelector": f"involvedObject.uid={pod.metadata.uid},reason={EVICTED}"}
        try:
            found = self._api.get(self._events, which)["items"]
        except AtollError as error:  # also an operator's own roles, without events
            log.warning("Events of pods cannot be read: %s", error)
            return None
        return str(found[-1].get("message", "")) if found else None

    def gone(self, name: str) -> bool:
        """Whether the cluster has no pod of this name, for certain."""
        try:
            self._api.get(f"{self._path}/{name}")
        except KubeNotFoundError:
            return True
        return False

    def node_gone(self, name: str | None) -> bool:
        """Whether the cluster has no node of this name, for certain."""
        try:
            self._api.get(f"/api/v1/nodes/{name}")
        except KubeNotFoundError:
            return bool(name)
        except AtollError as error:  # also an operator's own roles, without nodes
            log.warning("Nodes cannot be read: %s", error)
        return False

    def silent(self, name: str) -> str | None:
        """Since when the node of this name does not answer; None where it does, or nobody can tell."""
        try:
            node = self._api.get(f"/api/v1/nodes/{name}")
        except AtollError as error:  # also one that is gone
            log.warning("The node %s cannot be read: %s", name, error)
            return None
        for one in node.get("status", {}).get("conditions", ()):
            if one["type"] == "Ready" and one["status"] != "True":
                return str(one.get("lastTransitionTime", ""))
        return None

    def change(self, pod: Pod, patch: list[Body]) -> None:
        """Change this very pod."""
        same = {"op": "test", "path": "/metadata/uid", "value": pod.metadata.uid}
        self._api.patch(f"{self._path}/{pod.metadata.name}", [same, *patch], "json")

    def delete(self, pod: Pod) -> None:
        """Delete this very pod."""
        try:
            self._api.delete(f"{self._path}/{pod.metadata.name}", uid=pod.metadata.uid)
        except KubeConflictError:
            return  # another one has its name: this one is gone


class PodReconciler:
    """Carries out what `pod_policy` decides. Keys are NAMESPACE/NAME."""

    name = "pod"

    def __init__(self, pods: PodList, checkpoints: Checkpoints) -> None:
        self._pods = pods
        self._checkpoints = checkpoints
        self._lost = Lost(pods, checkpoints.servers, checkpoints.nodes)
        self._acts: dict[Act, Callable[[Pod, ServerRow], None]] = {
            Act.PLACE: self._place,
            Act.TELL_ENDED: self._tell_ended,
            Act.CUT_OFF: self._cut_off,
            Act.LABEL: self._label,
            Act.END: self._end,
            Act.DELETE: self._delete,
        }

    async def pending(self) -> Iterable[str]:
        """All pods, once they are listed, and servers whose pod is gone."""
        await self._pods.informer.wait_synced()
        there = {
            pod.metadata.annotations.get(START) for pod in self._pods.informer.snapshot().values()
        }
        await asyncio.to_thread(self._lost.look, there)
        return self._pods.informer.snapshot()

    async def reconcile(self, key: str) -> float | None:
        """Look at the pod, and do what is to be done."""
        return await asyncio.to_thread(self._step, key)

    def of_server(self, subject: str) -> list[str]:
        """The keys of a server's pods; `subject` is USER/SEGMENT, as in events."""
        return [
            key for key, pod in self._pods.informer.snapshot().items() if _subject(pod) == subject
        ]

    def why_kept(self, key: str) -> str | None:
        """Why the pod of this key is not to go, if it is a server's that nobody has saved yet. Blocks.

        What was ended to be saved and is nobody's here is another database's, which may save it.
        Raises UnavailableError while the cluster cannot be asked.
        """
        if not self._pods.informer.synced:
            raise UnavailableError("The pods of the cluster are not listed yet.")
        pod = self._pods.informer.snapshot().get(key) or self._pods.named(key)
        if pod is None:
            return None
        seen = _seen(pod)
        act = decide(seen, self._kept(pod, self._row(pod)))
        if act is Act.ORPHAN:
            return _NOBODYS if seen.labelled else None
        return _UNSAVED if act is not Act.DELETE else None

    def orphans(self) -> list[Pod]:
        """Pods of servers that nobody knows: of another platform's database, or a lost one. Blocks."""
        return [
            pod
            for pod in self._pods.informer.snapshot().values()
            if decide(_seen(pod), self._kept(pod, self._row(pod))) is Act.ORPHAN
        ]

    def _step(self, key: str) -> float | None:
        pod = self._pods.informer.snapshot().get(key)
        if pod is None:
            self._lost.look_at(key)
            return None
        row = self._row(pod)
        act = decide(_seen(pod, cut_off=self._silent(pod) is not None), self._kept(pod, row))
        if row is None or act in (Act.NOTHING, Act.ORPHAN):
            return None
        try:
            self._acts[act](pod, row)
        except (KubeNotFoundError, OvertakenError):
            return _AGAIN_S
        return _AGAIN_S

    def _row(self, pod: Pod) -> ServerRow | None:
        notes = pod.metadata.annotations
        with self._checkpoints.ground.database.read() as session:
            return find_server(session, notes.get(USER, ""), notes.get(NAME, ""))

    def _kept(self, pod: Pod, row: ServerRow | None) -> Kept | None:
        if row is None:
            return None
        with self._checkpoints.ground.database.read() as session:
            waits = left.left(session, pod.metadata.annotations.get(START, ""))
        return Kept(
            status=ServerStatus(row.status),
            running_id=row.running_id,
            settled_id=row.settled_id,
            placed=row.container is not None,
            left=bool(waits),
        )

    def _place(self, pod: Pod, row: ServerRow) -> None:
        place = place_of(pod)
        assert place is not None  # noqa: S101  # decided on it
        self._checkpoints.servers.placed(row, place)

    def _tell_ended(self, pod: Pod, row: ServerRow) -> None:
        segment = server_segment(row.name)
        self._checkpoints.servers.ended(row.user, segment, row.start_id, self._why(pod))
        log.info("%s ended by itself", pod.metadata.name, extra={"server": _subject(pod)})

    def _silent(self, pod: Pod) -> str | None:
        """Since when its node does not answer, where it was deleted and cannot know of it."""
        if pod.metadata.deletion_timestamp is None or pod.ended_in(CONTAINER):
            return None
        return self._pods.silent(pod.spec.node_name)

    def _cut_off(self, pod: Pod, row: ServerRow) -> None:
        """The hub first: while it does not answer, this is tried again."""
        since = self._silent(pod)
        if since is None:
            return  # it answers again
        why = cut_off(pod.spec.node_name, since)
        self._checkpoints.ground.hub.stop_server(row.user, row.name)
        self._checkpoints.servers.ended(row.user, server_segment(row.name), row.start_id, why)
        self._checkpoints.servers.tell_why(
            row, why
        )  # the hub knows none, and may have been quicker
        log.warning("%s is cut off", pod.metadata.name, extra={"server": _subject(pod)})

    def _label(self, pod: Pod, row: ServerRow) -> None:
        self._pods.change(pod, _END[:1])
        if pod.ended_in(CONTAINER):
            self._tell_why(pod, row)
        else:
            log.warning("%s has lost its atoll-hold: nobody may delete it", pod.metadata.name)

    def _end(self, pod: Pod, row: ServerRow) -> None:
        self._pods.change(pod, _END)
        self._tell_why(pod, row)  # of the pod as it was: the deadline takes the place of a reason

    def _tell_why(self, pod: Pod, row: ServerRow) -> None:
        """The hub saw first that the server ended, and does not know why."""
        if row.ended_why is None and (why := self._why(pod)) is not None:
            self._checkpoints.servers.tell_why(row, why)

    def _why(self, pod: Pod) -> str | None:
        return why_ended(pod, self._pods.evicted(pod))

    def _delete(self, pod: Pod, row: ServerRow) -> None:
        self._pods.delete(pod)
        log.info("%s is saved and deleted", pod.metadata.name, extra={"server": _subject(pod)})


def place_of(pod: Pod) -> Place | None:
    """Where the pod's container is and the image it came from; None before it was started."""
    container = pod.container(CONTAINER)
    if container is None or not pod.spec.node_name:
        return None
    started = container.state.running or container.state.terminated
    image = container.image_id.removeprefix("docker-pullable://")
    if started is None or "@sha256:" not in image:
        return None
    where = f"{pod.metadata.namespace}/{pod.metadata.name}/{CONTAINER}"
    return Place(node=pod.spec.node_name, container=where, image=image)


def why_ended(pod: Pod, evicted: str | None = None) -> str | None:
    """A sentence for its user where the container did not just end by being told to.

    `evicted` is what the node said, where it put the pod out.
    """
    container = pod.container(CONTAINER)
    ended = container.state.terminated if container is not None else None
    if ended is not None and ended.reason == "OOMKilled":
        return (
            "Your server was ended because it used more memory than its profile gives;"
            " choose a larger one, or load less at a time."
        )
    if evicted is not None:
        return f"Your server was ended by its node: {evicted.strip() or 'it ran out of room.'}"
    if ended is None or pod.told_to_end or pod.status.reason:
        return None
    if ended.exit_code not in (0, 143):
        return f"Your server ended by itself (exit status {ended.exit_code})."
    return None


def cut_off(node: str, since: str) -> str:
    """A sentence for its user, of a node that does not answer since then."""
    told = ""
    if since:
        moment = datetime.fromisoformat(since).astimezone(UTC)
        told = f" since {moment.day} {moment:%b}, {moment:%H:%M} UTC"
    return f"Your server was ended: its node {node} does not answer{told}."


def _seen(pod: Pod, *, cut_off: bool = False) -> SeenPod:
    return SeenPod(
        start_id=pod.metadata.annotations.get(START, ""),
        ended=pod.ended_in(CONTAINER),
        ending=pod.ended or pod.told_to_end,
        leaving=pod.metadata.deletion_timestamp is not None,
        labelled=UNSAVED in pod.metadata.labels,
        placeable=place_of(pod) is not None,
        unheld=pod.ended_in(HOLD),
        cut_off=cut_off,
    )


def _subject(pod: Pod) -> str:
    notes = pod.metadata.annotations
    return f"{notes.get(USER, '')}/{server_segment(notes.get(NAME, ''))}"
