"""What the tests hold in their hands: the service, nodes with agents, servers in containers."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx
from atoll import oci
from atoll.checkpoints import client, node_client
from atoll.checkpoints.models import (
    Checkpoint,
    CheckpointRequest,
    Place,
    Server,
    ServerStatus,
    StartRequest,
)
from atoll.checkpoints.node_models import SaveOrder
from atoll.kit.home import Home
from atoll.kit.http import Call, Connection
from atoll.kit.names import server_segment

from tests.databases import variables
from tests.forked import Forked

from .containers import base_image

T = TypeVar("T")
ROOT = Path(__file__).parents[3]
NODE = "node-1"


def eventually(look: Callable[[], T], until: Callable[[T], object], within_s: float = 60.0) -> T:
    """What `look` gives as soon as it is as wanted."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if until(found):
            return found
        assert time.monotonic() < deadline, f"still {found!r}"
        time.sleep(0.02)


@dataclass
class Cluster:
    """The service at `url`, spoken to as hub, users and agents; whose agent is `NODE`'s."""

    home: Home
    url: str
    connections: dict[str, Connection] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root = self.home.path / "containers"
        self.root.mkdir(parents=True, exist_ok=True)
        self.store = oci.LayoutStore(self.home.images)
        self.base = base_image(self.store)
        self.token = self.home.secret("agent-token")

    def send(self, call: Call[T], who: str = "ada") -> T:
        """Send a call with somebody's token."""
        if who not in self.connections:
            self.connections[who] = Connection(self.url, who, patience_s=20)
        return self.connections[who].send(call)

    def start(
        self,
        user: str = "ada",
        name: str = "",
        *,
        node: str = NODE,
        image: str | None = None,
        environment: str = "last",
        save_every_s: int | None = None,
    ) -> Path:
        """As the hub: start a server in a new container; its directory."""
        asked = StartRequest(contained=True, environment=environment, save_every_s=save_every_s)
        self.send(client.start(user, name, asked), "hub")
        found = eventually(
            lambda: self.send(client.preparation(user, name), "hub"), lambda found: found.ready
        )
        digest = found.environment or self.base
        container = f"{user}-{server_segment(name)}-{found.start_id}"
        (self.root / container).mkdir()
        place = Place(
            node=node,
            container=container,
            image=image or f"registry.example/atoll/notebook@{digest}",
        )
        self.send(client.started(user, name, found.start_id, place), "hub")
        return self.root / container

    def end(self, user: str = "ada", name: str = "") -> None:
        """As the hub: the server ended."""
        self.send(client.ended(user, name), "hub")

    def server(self, user: str = "ada", name: str = "") -> Server:
        """How the server stands."""
        return self.send(client.server(user, name), "admin")

    def saved(self, user: str = "ada", name: str = "", within_s: float = 60.0) -> Server:
        """Wait until the server is saved."""
        return eventually(
            lambda: self.server(user, name),
            lambda found: found.status == ServerStatus.SAVED,
            within_s,
        )

    def save(self, user: str = "ada", name: str = "", note: str = "") -> Checkpoint:
        """Ask for a save of a running server."""
        asked = CheckpointRequest(server=server_segment(name), note=note)
        return self.send(client.save(asked), user)

    def checkpoint(self, id_: str) -> Checkpoint:
        """One checkpoint."""
        return self.send(client.checkpoint(id_), "admin")

    def final(self, id_: str) -> Checkpoint:
        """Wait until the checkpoint is final."""
        return eventually(lambda: self.checkpoint(id_), lambda found: found.status.final)

    def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints, newest first."""
        return self.send(client.checkpoints(limit=200), "admin").items

    def work(self, node: str = NODE, wait_s: float = 0, token: str | None = None) -> SaveOrder:
        """As an agent: the next order, which there must be."""
        content = self.send(node_client.work(node, wait_s), token or self.token)
        return SaveOrder.model_validate_json(content)

    def no_work(self, node: str = NODE) -> bool:
        """As an agent: whether there is nothing to do."""
        return self.send(node_client.work(node, 0), self.token) == b""

    def agent(self, node: str = NODE) -> subprocess.Popen[bytes]:
        """A real agent in a process of its own."""
        token = self.home.secrets / "agent-token"
        module = "tests.service.nodes.agent_process"
        argv = [sys.executable, "-m", module, self.url, node, str(token), str(self.root)]
        process = subprocess.Popen(argv, cwd=ROOT)
        self.processes.append(process)
        return process

    def began(self) -> list[str]:
        """The containers whose saves began, in their order."""
        path = self.root / "log"
        return path.read_text().splitlines() if path.exists() else []

    def phases(self) -> list[str]:
        """The phases that agents have reached."""
        path = self.root / "phases"
        return path.read_text().splitlines() if path.exists() else []

    def files(self, digest: str | None) -> set[str]:
        """The files of a saved environment."""
        assert digest is not None
        image = oci.load_image(self.store, digest)
        found = set()
        for layer, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=True):
            with oci.open_layer(self.store, layer, diff_id) as reader:
                found |= {oci.shown(one.path) for one in reader if one.kind is oci.Kind.FILE}
        return found

    def close(self) -> None:
        """End what was started here."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
        for connection in self.connections.values():
            connection.close()


class ServiceProcess:
    """The service in a process of its own, killed and started again at the same address."""

    def __init__(self, home: Home, settings: dict[str, object]) -> None:
        self.home = home
        home.create()
        with socket.create_server(("127.0.0.1", 0)) as ear:
            self.port = ear.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/services/atoll/api/v1/"
        self._arguments = (str(home.path), str(self.port), json.dumps(settings))
        self._process: Forked | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        module = "tests.service.nodes.service_process"
        self._process = Forked(module, *self._arguments, env=variables(self.home))
        eventually(self._answers, bool)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None
        try:
            httpx.get(f"http://127.0.0.1:{self.port}/metrics")
        except httpx.HTTPError:
            return False
        return True
