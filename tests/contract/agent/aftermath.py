"""What a save is to leave behind, however it went: nothing but images, and a container that goes on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Final

from atoll import oci
from atoll.agent.cgroups import freezer_of
from atoll.agent.runtimes.container import Container
from atoll.checkpoints.models import CheckpointStatus
from atoll.checkpoints.removals import Removals
from atoll.checkpoints.settings import CheckpointSettings
from atoll.kit.db import Database, now
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_referrers import referrers

from tests.contract.agent.node import BASE, Node, until
from tests.contract.agent.world import REPOSITORY, World
from tests.databases import url_of

_SOON_S: Final = 4.0  # less than a watchdog waits for an agent that hangs
WRITE: Final = "n=0; while :; do n=$((n+1)); echo $n > /srv/next; mv /srv/next /srv/n; done"
"""A server that lives: it writes as fast as it can."""


def first_of(world: World) -> str:
    """The digest of a checkpoint to start servers from; it has two layers over the base."""
    world.node.load_base()
    image = BASE
    for number in (1, 2):
        script = f"echo {number} > /srv/first; echo {number} > /srv/first-{number}"
        container = world.node.run(script, image=image, wait=True)
        digest = world.runtime.find(container).image.digest
        world.begin("", container, image if number > 1 else f"registry.example/base@{digest}")
        world.asked("")
        with world.agents.running():
            saved = world.final("")
        assert (saved.status, saved.message) == (CheckpointStatus.READY, None)
        world.node.remove(container)
        image = world.pulled(str(saved.digest))
    return image.rpartition("@")[2]


def no_debris(world: World, *, images: int = 0) -> None:
    """Nothing on the node; in the registry what the checkpoints have, and `images` that a sweep finds."""
    assert leases(world.node) == []
    notes = {path.suffix for path in world.agents.state.iterdir()}
    assert notes <= {".lock", ".saved"}  # who saves a container; what it was last saved as, alive
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    assert not any(str(world.agents.state) in line for line in mounts)
    assert swept(world) == images
    assert world.registry.images(REPOSITORY) == accounted_for(world)


def accounted_for(world: World) -> set[str]:
    """What the repository is to have: the checkpoints' images, with their reports and lists of these."""
    found = {str(one.digest) for one in world.cluster.checkpoints() if one.digest}
    with world.targets.content(REPOSITORY) as content:
        assert isinstance(content, RegistryStore)
        for digest in sorted(found):
            found |= {one.descriptor.digest for one in referrers(content, digest)}
            found.add(content.resolve(digest.replace(":", "-")).digest)
    return found


def swept(world: World) -> int:
    """What the service's hourly look finds that belongs to no checkpoint, and removes."""
    database = Database(url_of(world.cluster.home))
    settings = CheckpointSettings(remove_after_s=0)
    ground = SimpleNamespace(database=database, settings=settings, clock=now)
    removals = Removals(ground, world.targets)  # type: ignore[arg-type]  # what it uses of it
    found = removals.sweep()
    for key in removals.pending():
        assert removals.step(key) is None
    database.close()
    return found


def leases(node: Node) -> list[str]:
    return [line for line in node.ctr("leases", "ls", "-q").split() if "atoll" in line]


def layers(world: World, digest: str) -> list[str]:
    with world.targets.content(REPOSITORY) as content:
        return [layer.digest for layer in oci.load_image(content, digest).manifest.layers]


def goes_on(container: Container, *, frozen: bool = False) -> None:
    """Its group is not frozen and it writes; `frozen`: nobody is left who could have thawed it."""
    freezer = freezer_of(container.cgroup or "", pid=container.pid)
    if frozen:
        assert freezer.frozen()
        return
    until(lambda: not freezer.asked() and not freezer.frozen(), "it is thawed", _SOON_S)
    file = container.upper / "srv" / "n"
    seen = file.stat().st_mtime_ns
    until(lambda: file.stat().st_mtime_ns != seen, "it goes on", _SOON_S)
