"""What a job is in Kubernetes: a pod and the secret with its token, built from plain values."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from atoll.jobs.resources import Size
from atoll.jobs.runners import Work
from atoll.jobs.settings import JobSettings
from atoll.kit.kube.volumes import Directory, mounted

JOB: Final = "atoll.dev/job"
PLATFORM: Final = "atoll.dev/platform"
MEMORY: Final = "atoll.dev/memory"
KUEUE: Final = "kueue.x-k8s.io/queue-name"
ARCHITECTURE: Final = "kubernetes.io/arch"

CONTAINER: Final = "job"
COMMAND: Final = ["/opt/atoll/bin/python", "-P", "-s", "-m", "atoll.jobs.remote"]

Manifest = dict[str, Any]

_HOME: Final = "home"
_USER: Final = 1000  # jovyan, whom the environment belongs to
_GROUP: Final = 100
_START_MOST_S: Final = 3600  # an image that is pulled counts as the pod's time
_DELIVERY_S: Final = 20  # at its end: the last of the log and the result
_NAME_MOST: Final = 63
_SLUG: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_SLUG_MOST: Final = 21  # before the hash: 32 in all
_VALUE_MOST: Final = 1000  # of an annotation that people gave


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the cluster jobs run, and how their pods reach the service and their images."""

    namespace: str
    platform: str  # whose jobs these are, where several platforms share a namespace
    service_url: str
    pull_secret: str = ""
    settings: JobSettings = field(default_factory=JobSettings)

    @property
    def labels(self) -> str:
        """The selector of all that is this platform's."""
        return f"{PLATFORM}={self.platform}"


def platform_of(secret: str) -> str:
    """A name for the platform that has this secret: the same for ever, and telling nothing of it."""
    return hashlib.sha256(f"platform:{secret}".encode()).hexdigest()[:16]


def secret(work: Work, place: Place) -> Manifest:
    """The secret with the variables that only the job may know: its token.

    A variable of the pod's own manifest could be read by everybody who may list pods.
    """
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(work.id, place),
        "immutable": True,  # the kubelet reads it once and watches nothing
        "stringData": {"ATOLL_TOKEN": work.variables["ATOLL_TOKEN"]},
    }


def pod(
    work: Work,
    size: Size,
    image: str,
    place: Place,
    *,
    shares: Sequence[Directory] = (),
    architecture: str | None = None,
) -> Manifest:
    """The pod that runs the job once, as restricted as PodSecurity `restricted` asks.

    `shares` are the shared directories that its user may see, `architecture` is the image's own:
    its pod goes to nodes of that.
    """
    settings = place.settings
    metadata = _metadata(work.id, place)
    metadata["annotations"] = {
        "atoll.dev/user": work.user[:_VALUE_MOST],
        "atoll.dev/notebook": work.name[:_VALUE_MOST],
        MEMORY: size.memory,
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",  # it cannot go on elsewhere
    }
    if settings.kueue_queue:
        metadata["labels"][KUEUE] = settings.kueue_queue
    grace_s = round(settings.grace_s) + _DELIVERY_S
    container = _container(work, size, image, place)
    spec: Manifest = {
        "restartPolicy": "Never",  # a container that is started again has lost what it had
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_s,
        # the process keeps the limit itself; this is for one that cannot any more
        "activeDeadlineSeconds": round(
            work.timeout_s + _START_MOST_S + settings.start_within_s + settings.deliver_within_s
        ),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _GROUP,
            "fsGroup": _GROUP,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    if place.pull_secret:
        spec["imagePullSecrets"] = [{"name": place.pull_secret}]
    if selector := {**settings.node_selector, **_of(architecture)}:
        spec["nodeSelector"] = selector
    if tolerations := _tolerations(size, settings):
        spec["tolerations"] = tolerations
    if size.gpu and settings.gpu_runtime_class:
        spec["runtimeClassName"] = settings.gpu_runtime_class
    spec["volumes"], container["volumeMounts"] = _directories(work.user, settings, shares)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def with_user(pattern: str, user: str) -> str:
    """The pattern with the user's slug for `{username}`, as KubeSpawner's templates have it."""
    return pattern.replace("{username}", slug(user))


def slug(name: str) -> str:
    """The name, where it can be part of any object's; else what can, with a hash of the name.

    As `kubespawner.slugs.safe_slug`: a user's claim has the same name for servers and jobs.
    """
    if len(name) <= _NAME_MOST and "--" not in name and _SLUG.fullmatch(name):
        return name
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).lstrip("-")[:_SLUG_MOST].rstrip("-")
    if plain and not plain[0].isalpha():
        plain = "x-" + plain[: _SLUG_MOST - 2]
    return f"{plain or 'x'}---{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _of(architecture: str | None) -> dict[str, str]:
    return {ARCHITECTURE: architecture} if architecture else {}


def _metadata(id_: str, place: Place) -> Manifest:
    labels = {
        "app.kubernetes.io/name": "atoll",
        "app.kubernetes.io/component": "job",
        JOB: id_,
        PLATFORM: place.platform,
    }
    return {"name": id_, "namespace": place.namespace, "labels": labels}


def _container(work: Work, size: Size, image: str, place: Place) -> Manifest:
    settings = place.settings
    variables = {
        **settings.variables,
        **{name: value for name, value in work.variables.items() if name != "ATOLL_TOKEN"},
        "ATOLL_URL": place.service_url,
        "ATOLL_JOB": work.id,
    }
    uid = {"fieldRef": {"fieldPath": "metadata.uid"}}
    token = {"secretKeyRef": {"name": work.id, "key": "ATOLL_TOKEN"}}
    return {
        "name": CONTAINER,
        "image": image,
        "command": list(COMMAND),
        "env": [
            *({"name": name, "value": value} for name, value in sorted(variables.items())),
            {"name": "ATOLL_POD", "valueFrom": uid},
            {"name": "ATOLL_TOKEN", "valueFrom": token},
        ],
        "resources": _resources(size, settings),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _directories(
    user: str, settings: JobSettings, shares: Sequence[Directory]
) -> tuple[list[Manifest], list[Manifest]]:
    """Volumes and mounts: the user's home, or an empty one, and what the user shares.

    What tools write into the home is never part of the environment, so it is a volume in any case.
    """
    mount = settings.home_mount
    if not settings.home_claim:
        volumes, mounts = mounted(shares)
        empty = {"name": _HOME, "emptyDir": {}}
        return [empty, *volumes], [{"name": _HOME, "mountPath": mount}, *mounts]
    claim, path = (with_user(one, user) for one in (settings.home_claim, settings.home_sub_path))
    return mounted([Directory(_HOME, claim, mount, path), *shares])


def _resources(size: Size, settings: JobSettings) -> Mapping[str, Mapping[str, str]]:
    """As much as is asked for, and no more: a job that needs more says so and disturbs nobody."""
    limits = {"cpu": f"{round(size.cpu * 1000)}m", "memory": f"{size.memory}i"}
    if size.gpu:
        limits[settings.gpu_resource] = str(size.gpu)
    if settings.disk:
        limits["ephemeral-storage"] = f"{settings.disk}i"
    return {"limits": limits, "requests": dict(limits)}


def _tolerations(size: Size, settings: JobSettings) -> list[dict[str, str]]:
    found = [one.manifest() for one in settings.tolerations]
    if size.gpu:  # nodes with GPUs are most often kept for those who ask for some
        found.append({"key": settings.gpu_resource, "operator": "Exists", "effect": "NoSchedule"})
    return found
