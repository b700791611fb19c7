"""What the platform adds to a server's pod: what holds it, who it is, what it may do.

Pure functions on the pod that KubeSpawner made from the operator's options. They add to what is
there, and replace nothing that an operator said, but for `restartPolicy`: a container that the
kubelet restarts begins on a fresh layer, and what its user installed would be gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kubernetes_asyncio.client.models import (
    V1Container,
    V1ContainerPort,
    V1EnvVar,
    V1HTTPGetAction,
    V1Lifecycle,
    V1LifecycleHandler,
    V1ObjectMeta,
    V1Pod,
    V1ResourceRequirements,
)
from kubespawner.utils import get_k8s_model

from atoll.hub.pod_states import HOLD, NOTEBOOK

SERVER_LABEL: Final = "atoll.dev/server"
UNSAVED_LABEL: Final = "atoll.dev/unsaved"
START_ANNOTATION: Final = "atoll.dev/start-id"

_POD_SECURITY: Final = {
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
    # a volume that has the group already is not gone through file by file at each start
    "fsGroupChangePolicy": "OnRootMismatch",
}
_CONTAINER_SECURITY: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
_HOLD_USER: Final = 65532


@dataclass(frozen=True, slots=True)
class Hold:
    """What keeps a pod that somebody deletes until the service says it is saved."""

    image: str
    port: int
    url: str
    token: str = field(repr=False)
    grace_s: int


def complete(pod: V1Pod, start_id: str, hold: Hold | None) -> V1Pod:
    """The pod with all that the platform needs of it; `hold` is None where nothing holds it."""
    metadata: V1ObjectMeta = pod.metadata
    metadata.labels = {**(metadata.labels or {}), SERVER_LABEL: "true"}
    metadata.annotations = {**(metadata.annotations or {}), START_ANNOTATION: start_id}
    pod.spec.restart_policy = "Never"
    pod.spec.security_context = _secured_pod(pod.spec.security_context)
    for container in (*pod.spec.containers, *(pod.spec.init_containers or [])):
        if container.name == NOTEBOOK:
            container.security_context = _secured(container.security_context)
        elif container.security_context is None:  # what an operator said of another stays so
            container.security_context = dict(_CONTAINER_SECURITY)
    if pod.spec.enable_service_links is None:
        pod.spec.enable_service_links = False  # names of all services as variables help nobody
    if hold is not None:
        _hold(pod, hold)
    return pod


def _hold(pod: V1Pod, hold: Hold) -> None:
    # After the server's container, and not before it as a native sidecar: the kubelet waits for those,
    # and looks once a second whether they run.
    pod.spec.containers = [*pod.spec.containers, _holding(hold)]
    if pod.spec.termination_grace_period_seconds is None:
        pod.spec.termination_grace_period_seconds = hold.grace_s
    notebook = next(one for one in pod.spec.containers if one.name == NOTEBOOK)
    lifecycle = get_k8s_model(V1Lifecycle, notebook.lifecycle or {})
    if lifecycle.pre_stop is None:  # without a host: PodSecurity forbids one
        action = V1HTTPGetAction(path="/hold", port=hold.port)
        lifecycle.pre_stop = V1LifecycleHandler(http_get=action)
    notebook.lifecycle = lifecycle


def _holding(hold: Hold) -> V1Container:
    variables = {
        "ATOLL_HOLD_URL": hold.url,
        "ATOLL_HOLD_TOKEN": hold.token,
        "ATOLL_HOLD_PORT": str(hold.port),
    }
    security = {**_CONTAINER_SECURITY, "runAsUser": _HOLD_USER, "runAsGroup": _HOLD_USER}
    return V1Container(
        name=HOLD,
        image=hold.image,
        env=[V1EnvVar(name=name, value=value) for name, value in variables.items()],
        ports=[V1ContainerPort(container_port=hold.port, name="atoll-hold")],
        resources=V1ResourceRequirements(
            requests={"cpu": "1m", "memory": "8Mi"}, limits={"cpu": "100m", "memory": "32Mi"}
        ),
        security_context={**security, "readOnlyRootFilesystem": True},
    )


def _secured_pod(said: Any) -> Any:
    """The operator's security context over the platform's; a typed object is left as it is."""
    if said is not None and not isinstance(said, Mapping):
        return said
    known = {**_POD_SECURITY, **(said or {})}
    if known.get("runAsUser") == 0:
        known.pop("runAsNonRoot")
    if "fsGroup" not in known:
        known.pop("fsGroupChangePolicy")
    return known


def _secured(said: Any) -> Any:
    """The same for the server's container."""
    if said is not None and not isinstance(said, Mapping):
        return said
    known = {**_CONTAINER_SECURITY, **(said or {})}
    if known.get("runAsUser") == 0:
        known["runAsNonRoot"] = False
    if known.get("privileged"):
        known.pop("allowPrivilegeEscalation")  # Kubernetes refuses both together
    return known
