"""A save in trouble, with its registry or its container: no debris, the one before is good, the next one succeeds."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from atoll import oci
from atoll.agent.aside import Aside
from atoll.agent.errors import FreezeError
from atoll.checkpoints.models import Checkpoint, CheckpointStatus
from atoll.checkpoints.settings import CheckpointSettings, NodeSettings

from tests.contract.agent.aftermath import WRITE, first_of, goes_on, no_debris
from tests.contract.agent.agents import HERE
from tests.contract.agent.node import Node, until
from tests.contract.agent.world import REPOSITORY, World, whole_world
from tests.contract.registry import faults as are
from tests.contract.registry.faults import Fault, Faults, Passing, proxy
from tests.contract.registry.servers import Running

ALWAYS: Final = 1_000_000
WORK: Final = "head -c {size} /dev/urandom > /srv/big; sha256sum /srv/big > /srv/sum; echo {name} > /srv/mine; "
STORM: Final = "for n in 1 2; do (while :; do (:); done) & done; "
"""Processes that come and go as fast as they can; two of them stay."""


class Trouble(NamedTuple):
    """What a registry does to a kind of request; `reason`: what is said of the save while it does.

    Of what it leaves, uploads are the registry's own to purge: a push token has no right to delete.
    """

    method: str
    path: str
    fault: Fault
    times: int = 1
    reason: str = ""
    uploads: int = 0
    images: int = 0  # that are published and no checkpoint's; the service's sweep finds them


TROUBLES: Final = {
    "fails now and then": Trouble("PATCH", "uploads", are.answers(500), times=2),
    "fails at the image's name": Trouble("PUT", "manifests", are.answers(503), times=2),
    "asks for patience": Trouble("PATCH", "uploads", are.answers(429, retry_after="1"), times=2),
    "breaks off in the layer": Trouble(
        "PATCH", "uploads", are.resets_after(3 << 20), times=2, uploads=2
    ),
    "loses its own answer": Trouble("PUT", "manifests", are.loses_the_answer),
    "is slow": Trouble("PATCH", "uploads", are.slowly(4 << 20)),
    "gets other bytes": Trouble("PATCH", "uploads", are.sends_other_bytes, uploads=1),
    "names another digest": Trouble(
        "PUT", "manifests", are.says(docker_content_digest="sha256:" + "0" * 64), images=1
    ),
    "has no room": Trouble("PATCH", "uploads", are.answers(507), ALWAYS, "disk_full", uploads=1),
    "accepts nobody": Trouble("POST", "uploads", are.answers(403), ALWAYS, "forbidden"),
}


@pytest.fixture(scope="module")
def between() -> list[Faults]:
    """What stands between the agents and the registry, once that runs."""
    return []


@pytest.fixture(scope="module")
def world(
    node: Node, between: list[Faults], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    nodes = NodeSettings(name=HERE, look_every_s=3600, lease_s=3)
    with ExitStack() as stack:

        def before(registry: Running) -> str:
            between.append(stack.enter_context(proxy(registry.port)))
            return between[0].address

        top = tmp_path_factory.mktemp("trouble")
        yield stack.enter_context(
            whole_world(node, top, nodes=nodes, checkpoints=CheckpointSettings(), address=before)
        )


@pytest.fixture(scope="module")
def first(world: World) -> str:
    """The digest of a checkpoint that all servers here start from."""
    return first_of(world)


@pytest.fixture
def registry(between: list[Faults], world: World) -> Iterator[Faults]:
    """What it has of faults is gone afterwards."""
    yield between[0]
    between[0].rules.clear()


@pytest.fixture(autouse=True)
def nothing_goes_on(node: Node) -> Iterator[None]:
    """Containers of a test that failed are ended all the same: others are beside them."""
    yield
    for identity in node.ctr("tasks", "ls", "-q").split():
        node.remove(identity)


def worked(world: World, first: str, name: str, *, size: int = 9_500_000, then: str = "") -> str:
    """A container from the first checkpoint in which a server has worked; with `then` it goes on."""
    script = WORK.format(size=size, name=name) + then
    container = world.node.run(script, image=world.named(first), wait=not then)
    if then:
        until((world.runtime.find(container).upper / "srv" / "n").exists, "it writes")
    world.begin(name, container, world.named(first))
    return container


def is_whole(world: World, saved: Checkpoint, name: str) -> None:
    assert (saved.status, saved.message) == (CheckpointStatus.READY, None)
    image = world.pulled(str(saved.digest))
    seen = world.node.output(image, "cat /srv/first* /srv/mine; sha256sum -c /srv/sum")
    assert seen.split() == [*"212", name, "/srv/big:", "OK"]
    world.node.ctr("images", "rm", image)


@pytest.mark.parametrize("which", TROUBLES)
def test_a_registry_in_trouble_delays_a_save_and_spoils_nothing(
    world: World, first: str, registry: Faults, which: str
) -> None:
    trouble, name = TROUBLES[which], f"t{list(TROUBLES).index(which)}"
    container, before = worked(world, first, name), Counter(world.registry.uploads(REPOSITORY))
    registry.on(trouble.method, trouble.path, trouble.fault, times=trouble.times)
    world.asked(name)
    with world.agents.running():
        if trouble.reason:
            world.waiting(name, trouble.reason)
            assert world.good(first)
            registry.rules.clear()
        saved = world.final(name)
    assert not any(rule.times for rule in registry.rules), "it was in trouble"
    left = Counter(world.registry.uploads(REPOSITORY)) - before
    assert left.total() == trouble.uploads
    no_debris(world, images=trouble.images)
    assert world.good(first)
    is_whole(world, saved, name)
    world.node.remove(container)


def test_a_storm_of_processes_is_saved_as_it_was_at_one_moment(world: World, first: str) -> None:
    container = worked(world, first, "storm", then=STORM + WRITE)
    try:
        world.asked("storm", live=True)
        with world.agents.running():
            saved = world.final("storm")
            goes_on(world.runtime.find(container))
    finally:
        world.node.remove(container)
    no_debris(world)
    assert world.good(first)
    is_whole(world, saved, "storm")


@pytest.mark.parametrize("live", [False, True], ids=["at rest", "live"])
def test_a_container_that_is_removed_meanwhile_is_told_and_the_next_one_is_saved(
    world: World, first: str, registry: Faults, live: bool
) -> None:
    name = f"gone-{'live' if live else 'rest'}"
    container = worked(world, first, name, size=90_000_000, then=WRITE if live else "")
    before = world.registry.uploads(REPOSITORY)
    registry.on("PATCH", "uploads", first_of_all(lambda: world.node.remove(container)))
    world.asked(name, live=live)
    with world.agents.running():
        gone = world.final(name)
    assert gone.status is CheckpointStatus.FAILED
    assert gone.reason in {"container_removed", "container_not_found"}
    assert world.registry.uploads(REPOSITORY) == before
    no_debris(world)
    assert world.good(first)

    after = worked(world, first, f"{name}-2")
    world.asked(f"{name}-2")
    with world.agents.running():
        is_whole(world, world.final(f"{name}-2"), f"{name}-2")
    world.node.remove(after)


def first_of_all(act: Callable[[], object]) -> Fault:
    """Passes on, once something else has happened."""

    def fault(passing: Passing) -> None:
        act()
        passing.relay(passing.passed_on())

    return fault


def test_no_more_than_so_much_waits_on_the_node(tmp_path: Path) -> None:
    """Its directory is in memory, on a node that has others."""
    aside = Aside(oci.LayoutStore(tmp_path / "store"), tmp_path)
    writer = aside.writer()
    with pytest.raises(FreezeError, match=r"More than 268 MB had changed"):
        for _ in range(257):
            writer.write(bytes(1 << 20))
    writer.abort()
    aside.close()


def test_a_node_without_room_for_what_waits_on_it_says_so_and_keeps_nothing(tmp_path: Path) -> None:
    """What is cut out of a container that stands still waits in memory, and what is too much for that on the disk."""
    small, store = tmp_path / "small", oci.LayoutStore(tmp_path / "store")
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", small], check=True)
    try:
        aside = Aside(store, small)
        writer = aside.writer()
        with pytest.raises(oci.StoreFullError, match="on the node"):
            for _ in range(70):
                writer.write(os.urandom(1 << 20))
        writer.abort()
        aside.close()
        assert os.statvfs(small).f_bfree == os.statvfs(small).f_blocks
        assert list((tmp_path / "store").rglob("sha256/*")) == []
    finally:
        subprocess.run(["umount", small], check=True)
