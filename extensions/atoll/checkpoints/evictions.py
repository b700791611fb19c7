"""What Kubernetes is told when somebody wants to evict a server's pod: not while it is unsaved.

The eviction API deletes ended pods whatever a PodDisruptionBudget says, and a pod's layer goes with
it. `kubectl drain` and autoscalers take 429 for "later" and ask again.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, Field

from atoll.checkpoints.pods import PodReconciler
from atoll.kit.errors import UnavailableError
from atoll.kit.kube.api import KubeRefusedError

_KIND: Final = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}


class _Request(BaseModel):
    uid: str
    name: str = ""
    namespace: str = ""
    dry_run: bool = Field(default=False, alias="dryRun")


class Review(BaseModel):
    """Kubernetes' question."""

    request: _Request


class Evictions:
    """Answers the question."""

    def __init__(self, pods: PodReconciler) -> None:
        self._pods = pods

    def answer(self, review: Review) -> dict[str, object]:
        """The answer as Kubernetes wants it. Blocks for a look at the database, and at the cluster."""
        why = self._why_not(f"{review.request.namespace}/{review.request.name}")
        response: dict[str, object] = {"uid": review.request.uid, "allowed": why is None}
        if why is not None:
            response["status"] = {"code": 429, "reason": "TooManyRequests", "message": why}
        return {**_KIND, "response": response}

    def _why_not(self, key: str) -> str | None:
        try:
            return self._pods.why_kept(key)
        except (UnavailableError, KubeRefusedError) as error:  # whoever drains a node asks again
            return f"Whether this server's environment is saved cannot be told now. {error}"
