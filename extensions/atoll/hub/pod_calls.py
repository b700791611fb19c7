"""The few calls about a server's pod that KubeSpawner does not make: look, end and keep, tell its log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, Final

import aiohttp
import msgspec
from kubernetes_asyncio.client import V1DeleteOptions, V1Preconditions
from kubernetes_asyncio.client.rest import ApiException

from atoll.hub import pod_refusals, pod_states
from atoll.hub.pod_manifest import UNSAVED_LABEL
from atoll.hub.pod_states import NOTEBOOK
from atoll.kit.kube.objects import END_S, Pod

AWAY: Final = (aiohttp.ClientError, TimeoutError, OSError)
"""What is raised where the API server does not answer."""

_RETRY_S: Final = 1.0
_LOG_LINES: Final = 8
_LOG_MOST: Final = 2000
_MERGE: Final = "application/merge-patch+json"


class PodCalls:
    """Calls with a time limit. `api` is KubeSpawner's own client."""

    def __init__(self, api: Any, timeout_s: float, log: logging.Logger) -> None:
        self._api = api
        self._timeout_s = timeout_s
        self._log = log

    async def read(self, name: str, namespace: str) -> Pod | None:
        """The pod as the API server has it, None where there is none."""
        answer = await self._in_time(
            self._api.read_namespaced_pod(name, namespace, _preload_content=False)
        )
        body = await answer.read()
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise ApiException(status=answer.status, reason=pod_refusals.words_of(body))
        return msgspec.json.decode(body, type=Pod)

    async def end(self, name: str, namespace: str, uid: str | None) -> None:
        """Have the pod end and keep what is in it, however long the API server is away.

        A pod whose server never began has nothing to keep, and is deleted.
        """
        while True:
            try:
                if await self._end_once(name, namespace, uid):
                    return
            except ApiException as error:
                if error.status in (403, 404, 422):
                    said = pod_refusals.words_of(error.body) or error.reason
                    self._log.error("The pod %s cannot be ended: %s", name, said)
                    return
                self._log.warning("The pod %s is not ended yet: %s", name, error.reason)
            except AWAY as error:
                self._log.warning("The pod %s is not ended yet: %r", name, error)
            await asyncio.sleep(_RETRY_S)

    async def log_end(self, name: str, namespace: str) -> str:
        """The end of the server's log, empty where there is none."""
        try:
            text: str | None = await self._in_time(
                self._api.read_namespaced_pod_log(
                    name, namespace, container=NOTEBOOK, tail_lines=_LOG_LINES
                )
            )
        except (ApiException, *AWAY):
            return ""
        return (text or "").strip()[-_LOG_MOST:]

    async def warnings_of_claim(self, name: str, namespace: str) -> str:
        """What Kubernetes said last about a claim that is not there, empty where nothing."""
        about = f"involvedObject.name={name},involvedObject.kind=PersistentVolumeClaim"
        try:
            found = await self._in_time(
                self._api.list_namespaced_event(namespace, field_selector=about)
            )
        except (ApiException, *AWAY):
            return ""
        return str(found.items[-1].message) if found.items else ""

    async def _end_once(self, name: str, namespace: str, uid: str | None) -> bool:
        """Whether nothing is left to do for this pod; False where it changed under our hands."""
        pod = await self.read(name, namespace)
        if pod is None or (uid is not None and pod.metadata.uid != uid):
            return True
        try:
            if pod_states.never_ran(pod) and not pod.ended:
                await self._delete(pod)
            else:
                await self._let_end(pod)
        except ApiException as error:
            if error.status == 409:  # it began meanwhile, or is another pod by now
                return False
            raise
        return True

    async def _let_end(self, pod: Pod) -> None:
        """The kubelet ends its containers at once, gracefully, and keeps what they wrote."""
        body = {
            "metadata": {"uid": pod.metadata.uid, "labels": {UNSAVED_LABEL: "true"}},
            "spec": {"activeDeadlineSeconds": END_S},
        }
        at = (pod.metadata.name, pod.metadata.namespace)
        await self._in_time(self._api.patch_namespaced_pod(*at, body, _content_type=_MERGE))

    async def _delete(self, pod: Pod) -> None:
        """Delete this very pod as it was seen: one whose server began meanwhile has changed."""
        seen = V1Preconditions(uid=pod.metadata.uid, resource_version=pod.metadata.resource_version)
        options = V1DeleteOptions(preconditions=seen, grace_period_seconds=1)
        at = (pod.metadata.name, pod.metadata.namespace)
        await self._in_time(self._api.delete_namespaced_pod(*at, body=options))

    async def _in_time(self, call: Awaitable[Any]) -> Any:
        async with asyncio.timeout(self._timeout_s):
            return await call
