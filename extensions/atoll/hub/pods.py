"""Servers as pods: KubeSpawner, whose stop ends a pod and keeps what is in it, and which waits itself.

A pod that ended keeps its writable layer for as long as the pod is there; the service deletes it
once that is saved. So nothing here deletes a pod whose server ever began.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

import httpx
import msgspec
from jupyterhub.traitlets import Callable, Command
from kubernetes_asyncio.client.rest import ApiException
from kubespawner import KubeSpawner
from traitlets import Bool, Float, Integer, Unicode, Union

from atoll.hub import pod_refusals, pod_states
from atoll.hub.pod_calls import AWAY, PodCalls
from atoll.hub.pod_manifest import SERVER_LABEL
from atoll.hub.pod_refusals import Attempt
from atoll.hub.pod_states import HOLD, NOTEBOOK, Step, Trouble
from atoll.hub.refusal import StartRefused
from atoll.kit.kube.objects import Event, Pod

_LOOK_S: Final = 0.1  # at what the watch has seen; costs microseconds
_EVENTS_S: Final = 1.0  # how often events are looked at: there may be thousands, of all pods
_ANSWER_S: Final = 2.0  # for one answer of a server that starts
_QUOTA_S: Final = 3.0  # how often a quota is asked whether there is room
_UNSEEN_S: Final = 10.0  # a pod that the watch does not show for so long is asked for
_STOP_PATIENCE_S: Final = 20.0  # then a stop goes on without the hub waiting for it
_END_S: Final = 10.0
_RANDOM: Final = 4  # bytes of a pod's name
_NAME_MOST: Final = 63 - 1 - 2 * _RANDOM


def program(grace_s: float) -> list[str]:
    """The command of a server, which ends within `grace_s` of being told to, or is killed.

    As process 1 a program gets no signal that it does not handle, and Python handles none while it
    imports; the pod's own grace period is as long as a save may take. So `timeout` (coreutils) is
    process 1: without a limit, it hands signals on, and kills what does not listen.
    """
    server = "/opt/atoll/bin/jupyterhub-singleuser"
    return ["timeout", "--foreground", f"--kill-after={grace_s:g}", "0", server]


class PodSpawner(KubeSpawner):  # type: ignore[misc]  # KubeSpawner has no types
    """A KubeSpawner whose pods have names of their own, are ended and not deleted, and are waited for."""

    ready_timeout_s = Float(
        60.0, config=True, help="From the server's process to its first answer."
    )
    schedule_timeout_s = Float(
        600.0, config=True, help="For a node, a volume, a quota, a registry."
    )
    # KubeSpawner's own options, with other defaults: an operator's values win
    cmd = Command(program(_END_S), config=True, allow_none=True)
    delete_stopped_pods = Bool(False, config=True)
    uid = Union([Integer(), Callable()], default_value=1000, config=True, allow_none=True)
    gid = Union([Integer(), Callable()], default_value=100, config=True, allow_none=True)
    fs_gid = Union([Integer(), Callable()], default_value=100, config=True, allow_none=True)
    # an API server that is being replaced is away for a minute
    k8s_api_request_retry_timeout = Integer(120, config=True)

    contact = Unicode(config=True, help="Whom a user whose start is refused may ask.")

    _ending: ClassVar[set[asyncio.Task[None]]] = set()  # stops that the API server did not take yet
    _uid: str | None = None
    _name_unused: bool = False
    _handed_over: asyncio.Event | None = None  # KubeSpawner made the pod, and waits for it

    def tell(self, percent: int, message: str) -> None:
        """Tell those who watch the start; the class in front does."""

    def get_state(self) -> dict[str, Any]:
        """KubeSpawner's, and which pod it is."""
        state: dict[str, Any] = super().get_state()
        if self._uid is not None:
            state["pod_uid"] = self._uid
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Take what a hub before this one kept."""
        super().load_state(state)
        self._uid = state.get("pod_uid")

    def clear_state(self) -> None:
        """Forget the pod; the next one has another name."""
        super().clear_state()
        self._new_name()

    async def start(self) -> str:
        """Make the pod and wait until the server in it answers: its address. Raises StartRefused."""
        if not self._name_unused:
            self._new_name()
        self._name_unused = False
        self._handed_over = asyncio.Event()
        carried = asyncio.ensure_future(super().start())
        watched = asyncio.ensure_future(self._answers(self._handed_over))
        try:
            with self._refusals():
                await asyncio.wait({carried, watched}, return_when=asyncio.FIRST_COMPLETED)
                if not watched.done():
                    carried.result()
                return await watched
        except StartRefused:
            await PodSpawner.stop(self)
            raise
        finally:
            await _cancelled(carried, watched)

    async def poll(self) -> int | None:
        """None while the pod runs, as far as is known, else its exit status. Changes nothing.

        A pod that the watch does not know is asked for: a watch that lost its way is no reason to
        take a server for gone.
        """
        try:
            await self._start_watching_pods()
            if self._key in self.pod_reflector.pods:
                status: int | None = await super().poll()
                return status
            pod = await self._calls.read(self.pod_name, self.namespace)
        except (ApiException, *AWAY) as error:
            self.log.warning("%s cannot be looked at: %r", self._log_name, error)
            return None
        return 1 if pod is None else pod_states.exit_status(pod)

    async def stop(self, now: bool = False) -> None:
        """End the pod and keep what is in it; returns at once and never raises.

        While the API server is away, the stop goes on without the hub.
        """
        del now  # a pod has its grace period; a shorter one would need a delete
        ended = self._calls.end(self.pod_name, self.namespace, self._uid)
        task = asyncio.ensure_future(ended)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        done, _ = await asyncio.wait({task}, timeout=_STOP_PATIENCE_S)
        if not done:
            self.log.error("%s: the API server is away; its stop goes on", self._log_name)

    async def leftovers(self) -> list[Pod]:
        """Pods of this very server that run: a hub before this one started them, and lost them."""
        with self._refusals():
            await self._start_watching_pods()
        mine = (self.user.name, self.name)
        pods = [raw for raw in list(self.pod_reflector.pods.values()) if _owner(raw) == mine]
        return [
            pod
            for pod in (msgspec.convert(raw, Pod) for raw in pods)
            if pod.metadata.name != self.pod_name and not _ends(pod)
        ]

    async def end_leftover(self, pod: Pod) -> None:
        """End one of them, and keep what is in it."""
        self.log.warning("Ending the pod %s, which a hub before this one lost", pod.metadata.name)
        at = (pod.metadata.name, pod.metadata.namespace, pod.metadata.uid)
        await self._calls.end(*at)

    def is_pod_running(self, pod: Any) -> bool:
        """As KubeSpawner sees it, which asks this last of all, when everything else is done."""
        if self._handed_over is not None:
            self._handed_over.set()
        return pod is not None and bool(super().is_pod_running(pod))

    async def refused(self, step: Step, waited_s: float) -> StartRefused:
        """The refusal for a step that leads nowhere; the class in front may know another way."""
        if step.trouble == Trouble.VOLUME and self.storage_pvc_ensure:
            said = await self._calls.warnings_of_claim(self.pvc_name, self.namespace)
            step = dataclasses.replace(step, detail=f"{step.detail} {said}".strip())
        return pod_refusals.refusal(step, await self._attempt(), waited_s)

    @property
    def _calls(self) -> PodCalls:
        return PodCalls(self.api, self.k8s_api_request_timeout, self.log)

    @property
    def _key(self) -> str:
        return f"{self.namespace}/{self.pod_name}"

    def _new_name(self) -> None:
        """A name that no other pod ever had: an ended one stays until it is saved."""
        beginning = self._expand_user_properties(self.pod_name_template)[:_NAME_MOST]
        self.pod_name = f"{beginning.rstrip('-')}-{secrets.token_hex(_RANDOM)}"
        self.dns_name = self.dns_name_template.format(namespace=self.namespace, name=self.pod_name)
        self._uid = None
        self._name_unused = True

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """What Kubernetes answers, or does not, in words for the user."""
        try:
            yield
        except ApiException as error:
            said = pod_refusals.words_of(error.body)
            self.log.warning("The cluster did not accept %s: %s", self._log_name, said)
            raise pod_refusals.by_cluster(error.status, said, self.contact) from error
        except AWAY as error:
            raise pod_refusals.cluster_away(self.contact) from error

    async def _make_create_pod_request(self, pod: Any, request_timeout: float) -> bool:
        """Create the pod, and wait where a quota has no room yet. A pod of its name is this one."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.schedule_timeout_s
        while True:
            try:
                async with asyncio.timeout(request_timeout):
                    made = await self.api.create_namespaced_pod(self.namespace, pod)
            except AWAY as error:
                self.log.warning("The API server does not answer (%r): asking again", error)
                return False
            except ApiException as error:
                if error.status == 409:
                    return True  # an answer was lost on its way; the name is of this start alone
                if error.status == 429 or error.status >= 500:
                    return False
                said = pod_refusals.words_of(error.body)
                if not pod_refusals.over_quota(said) or clock() > deadline:
                    raise
                step = pod_refusals.quota_step(said)
                self.tell(step.percent, step.message)
            else:
                self._uid = made.metadata.uid
                return True
            await asyncio.sleep(_QUOTA_S)

    async def _start_reflector(
        self, kind: str, reflector_class: Any, replace: bool = False, **more: Any
    ) -> Any:
        """As KubeSpawner does; a watch that gave up, as after a minute without API server, begins anew."""
        known = self.reflectors.get(self._get_reflector_key(kind))
        if known is not None and known.first_load_future.done():
            replace = replace or known.watch_task is None or known.watch_task.done()
        return await super()._start_reflector(kind, reflector_class, replace=replace, **more)

    async def _answers(self, handed_over: asyncio.Event) -> str:
        """The server's address once it answers; raises StartRefused where it never will."""
        clock = asyncio.get_running_loop().time
        await handed_over.wait()
        began = looked = clock()
        since: dict[tuple[Trouble | None, bool], float] = {}
        seen, step = "", Step(51, "asking the cluster for your server")
        timeout = httpx.Timeout(_ANSWER_S)
        async with httpx.AsyncClient(timeout=timeout, trust_env=False) as http:
            while True:
                raw = self.pod_reflector.pods.get(self._key)
                if raw is None:
                    await self._unseen(clock() - began)
                elif raw["metadata"]["resourceVersion"] != seen or clock() > looked + _EVENTS_S:
                    seen, looked = raw["metadata"]["resourceVersion"], clock()
                    step = self._step(raw)
                self.tell(step.percent, step.message)
                begun = since.setdefault((step.trouble, step.running), clock())
                await self._given_up(step, clock() - begun)
                if raw is not None and step.running and (url := await self._answer(http, raw)):
                    self.tell(95, "your server is ready")
                    return url
                await asyncio.sleep(_LOOK_S)

    async def _answer(self, http: httpx.AsyncClient, raw: dict[str, Any]) -> str | None:
        """The server's address if it answers there."""
        if not super().is_pod_running(raw):
            return None
        self._uid = raw["metadata"]["uid"]
        url: str = self._get_pod_url(raw)
        if self.internal_ssl:
            return url  # the hub itself has the certificates to ask
        try:
            await http.get(f"{url}{self.server.base_url}api")
        except httpx.HTTPError:
            return None
        return url

    def _step(self, raw: dict[str, Any]) -> Step:
        gates = [gate.get("name", "") for gate in raw["spec"].get("schedulingGates") or []]
        known = self.event_reflector.resources if self.event_reflector else {}
        events = [
            msgspec.convert(event, Event)
            for event in list(known.values())
            if event["involvedObject"].get("name") == self.pod_name
            and HOLD not in event["involvedObject"].get("fieldPath", "")
        ]
        events.sort(key=lambda event: event.last_timestamp or event.event_time or "")
        return pod_states.read(msgspec.convert(raw, Pod), events, gates)

    async def _given_up(self, step: Step, waited_s: float) -> None:
        """Raise StartRefused where waiting does not help, or did not in time."""
        if step.failed:
            raise await self.refused(step, waited_s)
        if step.running and waited_s > self.ready_timeout_s:
            raise pod_refusals.never_answered(await self._attempt(), self.ready_timeout_s)
        # who gates a pod decides how long; what is pulled or made ready takes what it takes
        waits = step.trouble is not None and step.trouble != Trouble.GATED
        if waits and waited_s > self.schedule_timeout_s:
            raise await self.refused(step, waited_s)

    async def _unseen(self, waited_s: float) -> None:
        """The watch does not show the pod: raise StartRefused where it is gone, else watch anew."""
        if self._uid is None or waited_s < _UNSEEN_S:
            return
        if await self._calls.read(self.pod_name, self.namespace) is None:
            step = Step(95, "", Trouble.DELETED, "there is no such pod any more")
            raise await self.refused(step, waited_s)
        await self._start_watching_pods(replace=True)
        await asyncio.sleep(_UNSEEN_S / 2)

    async def _attempt(self) -> Attempt:
        memory = f"{self.mem_limit / (1 << 30):.3g} GB" if self.mem_limit else ""
        log = await self._calls.log_end(self.pod_name, self.namespace)
        return Attempt(image=self.image, memory=memory, log=log, contact=self.contact)


def _owner(raw: dict[str, Any]) -> tuple[str, str] | None:
    """The user and the server that a pod is of, None where it is no server's of this platform."""
    if SERVER_LABEL not in raw["metadata"].get("labels", {}):
        return None
    notes = raw["metadata"].get("annotations", {})
    return notes.get("hub.jupyter.org/username", ""), notes.get("hub.jupyter.org/servername", "")


def _ends(pod: Pod) -> bool:
    """Whether it ended, or is about to."""
    leaving = pod.metadata.deletion_timestamp is not None
    return pod.ended_in(NOTEBOOK) or leaving or pod.told_to_end


async def _cancelled(*tasks: asyncio.Future[Any]) -> None:
    """End these tasks; what they raised was looked at, or does not matter any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
