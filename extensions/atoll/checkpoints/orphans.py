"""What lies in the cluster and belongs to nobody any more: listed for administrators, never removed."""

from __future__ import annotations

from typing import Any, Final, Protocol

from atoll.checkpoints.models import Orphan, OrphanKind
from atoll.checkpoints.pods import NAME, USER, PodReconciler
from atoll.kit.kube.api import KubeApi

_STORAGE: Final = "component=singleuser-storage"  # as KubeSpawner labels the claims that it makes


class Users(Protocol):
    """What is asked of the hub."""

    def groups(self, user: str) -> frozenset[str] | None:
        """A user's groups; None where the hub has no such user."""
        ...


class Orphans:
    """Finds them. Blocks."""

    def __init__(self, pods: PodReconciler, api: KubeApi, namespace: str, users: Users) -> None:
        self._pods = pods
        self._api = api
        self._namespace = namespace
        self._users = users

    def all(self) -> list[Orphan]:
        """Pods of starts that nobody knows, and the homes of users that the hub has not any more."""
        pods = [
            Orphan(
                kind=OrphanKind.POD,
                namespace=pod.metadata.namespace,
                name=pod.metadata.name,
                user=pod.metadata.annotations.get(USER, ""),
                server=pod.metadata.annotations.get(NAME, ""),
                reason="Nothing is written down of this start: its layer may be unsaved.",
            )
            for pod in self._pods.orphans()
        ]
        return pods + self._volumes()

    def _volumes(self) -> list[Orphan]:
        path = f"/api/v1/namespaces/{self._namespace}/persistentvolumeclaims"
        found: list[dict[str, Any]] = self._api.get(path, {"labelSelector": _STORAGE})["items"]
        notes = [(one["metadata"], one["metadata"].get("annotations", {})) for one in found]
        gone: dict[str, bool] = {}
        for _, note in notes:
            user = str(note.get(USER, ""))
            if user not in gone:
                gone[user] = not user or self._users.groups(user) is None
        return [
            Orphan(
                kind=OrphanKind.VOLUME,
                namespace=self._namespace,
                name=str(metadata["name"]),
                user=str(note.get(USER, "")),
                reason="The hub has no such user any more.",
            )
            for metadata, note in notes
            if gone[str(note.get(USER, ""))]
        ]
