"""A server that starts on another node than the one that saved it: only its delta travels there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from atoll import oci
from atoll.agent.runtimes.containerd import Containerd
from atoll.oci.registry import RegistryStore

from tests.contract.agent.node import BASE, Node, running_node, until
from tests.contract.agent.test_cycles import Cycles, expected
from tests.contract.registry.sent import Sent, sent
from tests.contract.registry.servers import Running, started

BASES: Final = "atoll/base"
SAVED: Final = "users/ada"
_WRITTEN_S: Final = 0.3  # the registry's log has a request a moment after its answer


@dataclass(frozen=True)
class Image:
    """An image in the registry: its blobs' and its manifest's digests, and how large each is."""

    name: str
    head: dict[str, int]
    layers: dict[str, int]

    @property
    def all(self) -> dict[str, int]:
        """Everything that a node which has nothing of it must fetch."""
        return {**self.head, **self.layers}


@dataclass
class Place:
    """A node with its agent, and what it has of the registry's."""

    node: Node
    runtime: Containerd
    registry: Running
    has: set[str] = field(default_factory=set)
    pulled: list[str] = field(default_factory=list)

    def lacks(self, image: Image) -> dict[str, int]:
        """What it must fetch before it can start the image."""
        return {digest: size for digest, size in image.all.items() if digest not in self.has}

    def pull(self, image: Image) -> list[Sent]:
        """Has the image pulled as the kubelet has it pulled; what the registry sent for it."""
        before, lacks = self.registry.log.stat().st_size, self.lacks(image)
        self.node.ctr("images", "pull", "--plain-http", image.name)
        self.pulled.append(image.name)
        self.has.update(image.all)
        until(
            lambda: lacks.keys() <= {one.digest for one in sent(self.registry, before)},
            "the registry sends what the node lacks",
        )
        time.sleep(_WRITTEN_S)
        return sent(self.registry, before)

    def content(self) -> list[str]:
        """What a container of the image that was pulled last sees."""
        return self.node.output(self.pulled[-1], "cat /srv/n; ls /srv /srv/made").split()

    def forget(self) -> None:
        """Removes its images, so that other tests find the node as it was."""
        for name in self.pulled:
            self.node.ctr("images", "rm", name)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Running]:
    with started(tmp_path / "registry") as running:
        yield running


@pytest.fixture
def here(node: Node, runtime: Containerd, registry: Running) -> Iterator[Place]:
    node.load_base()
    place = Place(node, runtime, registry)
    yield place
    place.forget()


@pytest.fixture
def there(registry: Running) -> Iterator[Place]:
    """Another node: a containerd with a content store of its own, and nothing in it."""
    with running_node(bare=True) as node:
        runtime = node.runtime()
        yield Place(node, runtime, registry)
        runtime.close()


def described(registry: Running, repository: str, digest: str) -> Image:
    """The image as the registry has it."""
    with RegistryStore(registry.reached(), repository) as store:
        found = oci.load_image(store, digest)
    heads, layers = (found.descriptor, found.manifest.config), found.manifest.layers
    return Image(
        f"{registry.address}/{repository}@{digest}",
        {one.digest: one.size for one in heads},
        {one.digest: one.size for one in layers},
    )


def base_of(here: Place) -> Image:
    """The base, which the registry has from now on."""
    name = f"{here.registry.address}/{BASES}:one"
    here.node.ctr("images", "push", "--plain-http", name, BASE)
    (digest,) = here.registry.images(BASES)
    found = described(here.registry, BASES, digest)
    here.has.update(found.all)
    return found


def sizes(fetched: list[Sent]) -> dict[str, int]:
    return {one.digest: one.size for one in fetched}


def test_a_start_on_another_node_fetches_the_delta_the_manifest_and_the_config_alone(
    here: Place, there: Place, tmp_path: Path
) -> None:
    base = base_of(here)
    assert sizes(there.pull(base)) == base.all  # the log says all that is sent

    server = Cycles(here.node, here.runtime, here.registry, tmp_path / "state")
    server.change(1)
    saved = described(here.registry, SAVED, server.save(1).image.digest)
    assert base.layers.items() < saved.layers.items()
    delta = {digest: saved.layers[digest] for digest in saved.layers.keys() - base.layers.keys()}
    fetched = there.pull(saved)

    assert len(fetched) == len(saved.head) + len(delta)  # nothing twice
    assert sizes(fetched) == {**saved.head, **delta}
    assert there.content() == expected(1)


def test_a_server_that_moves_from_node_to_node_takes_what_changed_and_nothing_else(
    here: Place, there: Place, tmp_path: Path
) -> None:
    there.pull(base_of(here))
    server = Cycles(here.node, here.runtime, here.registry, tmp_path / "state")
    for n, (before, after) in enumerate([(here, there), (there, here), (here, there)], start=1):
        server.node, server.runtime = before.node, before.runtime
        server.change(n)
        saved = described(before.registry, SAVED, server.save(n).image.digest)
        lacks = after.lacks(saved)
        assert lacks.keys() < saved.all.keys()

        assert sizes(after.pull(saved)) == lacks
        assert after.content() == expected(n)
        server.image = saved.name
