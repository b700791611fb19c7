"""A base whose packed layers its node no longer has: it goes from registry to registry, by order."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from atoll import oci
from atoll.checkpoints import client
from atoll.checkpoints.models import CheckpointStatus
from atoll.checkpoints.settings import NodeSettings
from atoll.oci.publish import export
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_settings import AccessToken, Registry

from tests.contract.agent.agents import HERE
from tests.contract.agent.node import BASE, Node
from tests.contract.agent.world import REPOSITORY, World, whole_world
from tests.contract.registry.logins import certificates
from tests.contract.registry.sent import sent
from tests.contract.registry.servers import Running, started

BASES: Final = "profiles/notebook"
_WRITTEN_S: Final = 0.3  # the registry's log has a request a moment after its answer


@pytest.fixture
def world(node: Node, tmp_path: Path) -> Iterator[World]:
    nodes = NodeSettings(name=HERE, look_every_s=3600, lease_s=3)  # a cancel is heard in a second
    with whole_world(node, tmp_path, nodes=nodes) as found:
        yield found
        node.load_base()


def base_in(reached: Registry, world: World) -> oci.Image:
    """The base, which this registry has from now on beside the node."""
    world.node.load_base()
    images = oci.LayoutStore(world.node.top / "images")
    [digest] = [one.digest for one in images.images() if f"test:{one.name}" == BASE]
    with RegistryStore(reached, BASES) as store:
        export(images, digest, store, name="one")
        return oci.load_image(store, digest)


def unpacked_alone(node: Node, base: oci.Image) -> None:
    """As containerd with `discard_unpacked_layers`: manifest and config stay, the layers' blobs do not."""
    for layer in base.manifest.layers:
        node.ctr("content", "rm", layer.digest)


def layers_in(world: World, digest: str | None) -> list[str]:
    """The layers of a checkpoint, which its repository has with every byte."""
    assert digest is not None
    assert world.good(digest)
    with world.targets.content(REPOSITORY) as content:
        return [layer.digest for layer in oci.load_image(content, digest).manifest.layers]


def saved_from(world: World, image: str) -> str:
    """A server that was started from this image stops, and is saved: the checkpoint's digest."""
    container = world.node.run("echo kept > /srv/kept; rm /etc/motd", wait=True)
    world.begin("", container, image)
    world.asked("")
    with world.agents.running():
        saved = world.final("")
    assert (saved.status, saved.message) == (CheckpointStatus.READY, None)
    world.node.remove(container)
    return str(saved.digest)


def runs(world: World, digest: str) -> None:
    """A node that has the image from its registry alone sees the base with the change."""
    world.node.ctr("images", "rm", "--sync", BASE)
    name = world.pulled(digest)
    seen = world.node.output(name, "cat /srv/kept /srv/old/one; ls /etc")
    assert seen.split() == ["kept", "1"]
    world.node.ctr("images", "rm", name)


def copied(registry: Running, base: oci.Image) -> dict[str, int]:
    """The base's layers that a registry has sent out, with how many bytes."""
    layers = {layer.digest for layer in base.manifest.layers}
    return {one.digest: one.size for one in sent(registry) if one.digest in layers}


def test_from_a_registry_of_another_host_it_is_copied(world: World, tmp_path: Path) -> None:
    tls = certificates(tmp_path / "tls")
    http = {"tls": {"certificate": str(tls.certificate), "key": str(tls.key)}}
    with started(tmp_path / "elsewhere", http=http) as elsewhere:
        base = base_in(elsewhere.reached(plain_http=False, ca_file=tls.authority), world)
        unpacked_alone(world.node, base)
        world.agents.environment["SSL_CERT_FILE"] = str(tls.authority)  # as the chart gives it

        digest = saved_from(world, f"{elsewhere.address}/{BASES}@{base.digest}")

        layers = {layer.digest: layer.size for layer in base.manifest.layers}
        time.sleep(_WRITTEN_S)
        assert copied(elsewhere, base) == layers
        assert layers_in(world, digest)[:-1] == list(layers)
    runs(world, digest)


def test_from_another_repository_of_the_registry_it_is_mounted_and_nothing_moves(
    world: World,
) -> None:
    issued = world.tokens.issue(BASES, "pull,push", save="operator")
    token = AccessToken(issued.value, issued.expires)
    base = base_in(world.registry.reached(credentials=lambda: token), world)
    unpacked_alone(world.node, base)
    before = copied(world.registry, base)

    digest = saved_from(world, f"{world.registry.address}/{BASES}@{base.digest}")

    time.sleep(_WRITTEN_S)
    assert copied(world.registry, base) == before
    assert layers_in(world, digest)[:-1] == [layer.digest for layer in base.manifest.layers]
    runs(world, digest)


def test_where_nobody_has_it_the_save_says_what_to_do_and_is_done_when_it_was_done(
    world: World,
) -> None:
    world.node.load_base()
    images = oci.LayoutStore(world.node.top / "images")
    [digest] = [one.digest for one in images.images() if f"test:{one.name}" == BASE]
    base = oci.load_image(images, digest)
    container = world.node.run("echo kept > /srv/kept; rm /etc/motd", wait=True)
    unpacked_alone(world.node, base)
    world.begin("", container, f"registry.invalid/{BASES}@{base.digest}")
    world.asked("")
    with world.agents.running():
        waiting = world.waiting("", "base_gone")
        assert "pull it on this node again" in str(waiting.message)
        world.node.load_base()
        saved = world.final("")
    assert (saved.status, saved.message) == (CheckpointStatus.READY, None)
    world.node.remove(container)
    runs(world, str(saved.digest))


@contextmanager
def in_trouble() -> Iterator[tuple[str, threading.Event]]:
    """A registry that hangs up on everybody: its address, and whether somebody has asked."""
    asked = threading.Event()

    class Hanging(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked.set()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Hanging) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def test_who_does_not_want_the_save_any_more_waits_for_no_other_registry(world: World) -> None:
    world.node.load_base()
    images = oci.LayoutStore(world.node.top / "images")
    [digest] = [one.digest for one in images.images() if f"test:{one.name}" == BASE]
    container = world.node.run("while :; do sleep 1; done")
    unpacked_alone(world.node, oci.load_image(images, digest))
    with in_trouble() as (address, asked):
        world.begin("one", container, f"{address}/{BASES}@{digest}")
        world.asked("one", live=True)
        with world.agents.running():
            assert asked.wait(60)
            world.cluster.send(client.cancel(world.newest("one").id))
            found = world.final("one")
    world.node.remove(container)

    assert (found.status, found.reason) == (CheckpointStatus.FAILED, "cancelled")
