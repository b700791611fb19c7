"""The service, a registry that takes its tokens alone, a node, and agents as processes: all of it real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from atoll import oci
from atoll.agent.runtimes.containerd import Containerd
from atoll.checkpoints import client
from atoll.checkpoints.models import Checkpoint, CheckpointRequest, Place, StartRequest
from atoll.checkpoints.registry_tokens import RegistryTokens
from atoll.checkpoints.settings import CheckpointSettings, NodeSettings, RegistrySettings
from atoll.checkpoints.targets import RegistryTargets
from atoll.kit.home import Home
from atoll.oci.store import chunks

from tests.contract.agent.agents import HERE, Agents
from tests.contract.agent.node import Node, unmount_below
from tests.contract.registry.servers import Running, started
from tests.service.nodes.cluster import Cluster, eventually
from tests.service.whole import no_flights, whole_service

REPOSITORY: Final = "atoll/ada"
SAVED_S: Final = 60.0  # far more than a save takes here


@dataclass
class World:
    """What a test holds in its hands. Servers are ada's."""

    cluster: Cluster
    registry: Running
    settings: RegistrySettings
    tokens: RegistryTokens
    node: Node
    runtime: Containerd
    agents: Agents

    @property
    def targets(self) -> RegistryTargets:
        """The registry as the service has it."""
        return RegistryTargets(self.settings, self.tokens)

    def named(self, digest: str) -> str:
        """What the image of a checkpoint is called."""
        return f"{self.registry.address}/{REPOSITORY}@{digest}"

    def pulled(self, digest: str) -> str:
        """The image of a checkpoint, from the registry, by containerd itself."""
        address = self.registry.address
        hosts = self.node.top / "hosts" / address
        hosts.mkdir(parents=True, exist_ok=True)
        token = self.tokens.issue(REPOSITORY, "pull", save="node").value
        (hosts / "hosts.toml").write_text(
            f'[host."http://{address}"]\n  capabilities = ["pull", "resolve"]\n'
            f'  [host."http://{address}".header]\n    authorization = "Bearer {token}"\n'
        )
        name = self.named(digest)
        self.node.ctr("images", "pull", "--plain-http", "--hosts-dir", hosts.parent, name)
        return name

    def begin(self, name: str, container: str, image: str) -> None:
        """As the hub: a server runs in the container, which was started from the image."""
        repository, _, digest = image.rpartition("@")
        environment = digest if repository.endswith(f"/{REPOSITORY}") else "base"
        asked = StartRequest(contained=True, environment=environment)
        self.cluster.send(client.start("ada", name, asked), "hub")
        found = eventually(
            lambda: self.cluster.send(client.preparation("ada", name), "hub"),
            lambda found: found.ready,
        )
        place = Place(node=HERE, container=container, image=image)
        self.cluster.send(client.started("ada", name, found.start_id, place), "hub")

    def asked(self, name: str, *, live: bool = False) -> None:
        """A save is wanted: by its user while it runs, or since it was stopped."""
        if live:
            self.cluster.send(client.save(CheckpointRequest(server=name)))
        else:
            self.cluster.end("ada", name)

    def newest(self, name: str) -> Checkpoint:
        """The server's newest checkpoint."""
        return next(one for one in self.cluster.checkpoints() if one.server == name)

    def final(self, name: str) -> Checkpoint:
        """The same, when it is."""
        return eventually(lambda: self.newest(name), lambda one: one.status.final, SAVED_S)

    def waiting(self, name: str, reason: str) -> Checkpoint:
        """The same, when it waits for this reason to be tried again."""
        return eventually(lambda: self.newest(name), lambda one: one.reason == reason, SAVED_S)

    def good(self, digest: str) -> bool:
        """Whether the registry has the image with every byte of it; raises where it has not."""
        with self.targets.content(REPOSITORY) as content:
            image = oci.load_image(content, digest)
            return all(sum(map(len, chunks(content, one))) for one in image.manifest.layers)


def its_own(registry: Running) -> str:
    """The registry's own address."""
    return registry.address


@contextmanager
def registry_for(tokens: RegistryTokens, top: Path) -> Iterator[Running]:
    """A registry that takes the platform's tokens only, below `top`."""
    (top / "bundle.pem").write_text(tokens.certificate)
    token = {
        "realm": "http://127.0.0.1:1/token",  # nobody's: tokens come with the order
        "issuer": "atoll",
        "service": "registry",
        "rootcertbundle": str(top / "bundle.pem"),
    }
    with started(top / "registry", auth={"token": token}) as running:
        yield running


@contextmanager
def whole_world(
    node: Node,
    top: Path,
    *,
    nodes: NodeSettings | None = None,
    checkpoints: CheckpointSettings | None = None,
    token_s: float = 600.0,
    address: Callable[[Running], str] = its_own,
) -> Iterator[World]:
    """All of it, below `top`. `address` is how the registry is reached."""
    home = Home(top / "home")
    tokens = RegistryTokens(home, issuer="atoll", service="registry")
    sections = {
        "nodes": nodes or NodeSettings(name=HERE, look_every_s=3600),
        "checkpoints": checkpoints or CheckpointSettings(),
    }
    with registry_for(tokens, top) as registry:
        given = {"address": address(registry), "plain_http": True, "issuer": "atoll"}
        # not validated: a test may have shorter tokens than any operator
        settings = RegistrySettings.model_construct(**given, token_s=token_s)
        with no_flights(), whole_service(home, registry=settings, **sections) as url:
            cluster = Cluster(home, f"{url}/api/v1/")
            runtime = node.runtime()
            agents = Agents(cluster, node, top / "state", top / "agents.log")
            try:
                yield World(cluster, registry, settings, tokens, node, runtime, agents)
            finally:
                agents.close()
                unmount_below(top)  # what a killed agent had mounted, where the next one failed
                runtime.close()
                cluster.close()
