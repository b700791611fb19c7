"""What the service has besides where servers are pods: the cluster's lists, and their reconcilers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from atoll.apps import admission
from atoll.apps.running import Loops
from atoll.checkpoints.cordons import CordonReconciler
from atoll.checkpoints.evictions import Evictions
from atoll.checkpoints.orphans import Orphans
from atoll.checkpoints.pods import PodList, PodReconciler
from atoll.checkpoints.service import Checkpoints
from atoll.kit.events import Event, EventStream
from atoll.kit.hub_api import HubApi
from atoll.kit.kube.access import Access
from atoll.kit.kube.api import KubeApi
from atoll.kit.kube.settings import KubernetesSection
from atoll.kit.loops import Reconciler


class Cluster:
    """The parts; `containers` is there before checkpoints are, which ask it."""

    def __init__(self, settings: KubernetesSection, host: str) -> None:
        self._settings = settings
        self._host = host
        self.access = Access.find(settings.kubeconfig)
        self.api = KubeApi(self.access)
        self.containers = PodList(self.access, self.api, settings.servers_namespace)

    def watch(self, checkpoints: Checkpoints) -> list[Reconciler]:
        """The reconcilers of pods and nodes."""
        self._pods = PodReconciler(self.containers, checkpoints)
        stops = self._settings.cordon_stops
        self._nodes = CordonReconciler(self.access, checkpoints, stops=stops)
        return [self._pods, self._nodes]

    @property
    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What runs beside the reconcilers."""
        found: dict[str, Callable[[], Awaitable[None]]] = {
            "pods": self.containers.informer.run,
            "nodes": self._nodes.informer.run,
        }
        if self._settings.admission_port:
            evictions = Evictions(self._pods)
            found["admission"] = partial(admission.serve, evictions, self._settings, self._host)
        return found

    def wake(self, loops: Loops, events: EventStream) -> None:
        """Have changes in the cluster, and of servers, looked at at once."""
        self.containers.informer.listen(lambda key, _, __: loops.wake("pod", key))
        self._nodes.informer.listen(lambda key, _, __: loops.wake("node", key))

        def settled(event: Event, _audience: frozenset[str]) -> None:
            if event.kind == "server":
                for key in self._pods.of_server(event.subject):
                    loops.wake("pod", key)

        events.listen(settled)

    def orphans(self, users: HubApi) -> Orphans:
        """What lists what belongs to nobody."""
        return Orphans(self._pods, self.api, self._settings.servers_namespace, users)

    def close(self) -> None:
        """Close the connections."""
        self.api.close()
