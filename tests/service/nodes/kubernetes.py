"""The API server of a cluster whose pods nobody runs: a test says what is there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from .cluster import NODE, ROOT, eventually

SERVERS = "atoll-servers"
NAME = "jupyter-ada"


@dataclass
class Kubernetes:
    """The API server's stand-in: what a test has there."""

    url: str
    kubeconfig: Path

    @property
    def section(self) -> dict[str, object]:
        """The service's settings."""
        return {"enabled": True, "kubeconfig": str(self.kubeconfig), "servers_namespace": SERVERS}

    @property
    def pods(self) -> str:
        """The path of servers' pods."""
        return f"{self.url}/api/v1/namespaces/{SERVERS}/pods"

    def node(self, name: str = NODE) -> None:
        """A node."""
        self._make(f"{self.url}/api/v1/nodes", {"name": name})

    def lose_node(self, name: str = NODE) -> None:
        """The node's object is removed."""
        options = {"gracePeriodSeconds": 0}
        httpx.request("DELETE", f"{self.url}/api/v1/nodes/{name}", json=options).raise_for_status()

    def silence(self, silent: bool, name: str = NODE) -> None:
        """The node does not answer from now on, or again."""
        ready = {"type": "Ready", "status": "Unknown" if silent else "True"}
        status = {"conditions": [{**ready, "lastTransitionTime": "2026-11-30T14:03:00Z"}]}
        told = {"silent": silent, "node": name, "status": status}
        httpx.post(f"{self.url}/control", json=told).raise_for_status()

    def pod(
        self, start_id: str, name: str = NAME, user: str = "ada", *, unsaved: bool = False
    ) -> None:
        """A running pod of the start; with `unsaved` it is labelled as one that is to be saved."""
        notes = {
            "atoll.dev/start-id": start_id,
            "hub.jupyter.org/username": user,
            "hub.jupyter.org/servername": "",
        }
        labels = {"atoll.dev/server": "true", **({"atoll.dev/unsaved": "true"} if unsaved else {})}
        self._make(
            self.pods,
            {"name": name, "namespace": SERVERS, "labels": labels, "annotations": notes},
            {"terminationGracePeriodSeconds": 60, "nodeName": NODE},
        )
        told = {"pod": name, "status": {"phase": "Running"}}
        httpx.post(f"{self.url}/control", json=told).raise_for_status()

    def claim(self, name: str, user: str) -> None:
        """The claim of somebody's home."""
        path = f"{self.url}/api/v1/namespaces/{SERVERS}/persistentvolumeclaims"
        labels = {"component": "singleuser-storage"}
        notes = {"hub.jupyter.org/username": user}
        self._make(path, {"name": name, "labels": labels, "annotations": notes})

    def ended(self, name: str = NAME) -> None:
        """The pod has ended, and is there."""
        told = {"pod": name, "status": {"phase": "Failed"}}
        httpx.post(f"{self.url}/control", json=told).raise_for_status()

    def delete(self, name: str = NAME) -> None:
        """As `kubectl delete pod`, and as the cluster does where a node stays silent."""
        httpx.request("DELETE", f"{self.pods}/{name}").raise_for_status()

    def remove(self, name: str = NAME) -> None:
        """As `kubectl delete pod --force --grace-period=0`."""
        options = {"gracePeriodSeconds": 0}
        httpx.request("DELETE", f"{self.pods}/{name}", json=options).raise_for_status()

    def collect(self, name: str = NAME) -> None:
        """The pod of a node that is gone is removed by Kubernetes itself."""
        httpx.post(f"{self.url}/control", json={"silent": False}).raise_for_status()
        self.remove(name)

    def away(self, away: bool) -> None:
        """The API server answers nobody, or again."""
        httpx.post(f"{self.url}/control", json={"away": away}).raise_for_status()

    def _make(
        self, path: str, metadata: dict[str, object], spec: dict[str, object] | None = None
    ) -> None:
        thing = {"metadata": metadata, "spec": spec or {}}
        httpx.post(path, json=thing).raise_for_status()


@contextmanager
def stand_in(folder: Path) -> Iterator[Kubernetes]:
    """A cluster with nothing in it."""
    command = [sys.executable, "-m", "tests.service.jobs.cluster", str(folder), "still"]
    process = subprocess.Popen(command, cwd=ROOT)
    config = folder / "kubeconfig"
    try:
        eventually(config.exists, bool)
        server = json.loads(config.read_text())["clusters"][0]["cluster"]["server"]
        yield Kubernetes(server, config)
    finally:
        process.terminate()
        process.wait()
