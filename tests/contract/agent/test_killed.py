"""kill -9 of a node's agent at every phase of a save: no debris, nothing frozen, nothing lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest
from atoll.checkpoints.models import CheckpointStatus
from atoll.checkpoints.settings import CheckpointSettings, NodeSettings

from tests.contract.agent.aftermath import WRITE, first_of, goes_on, layers, no_debris
from tests.contract.agent.agents import HERE
from tests.contract.agent.node import Node, until
from tests.contract.agent.world import REPOSITORY, World, whole_world
from tests.moments import moments

WORK: Final = """
head -c 9500000 /dev/urandom > /srv/big; sha256sum /srv/big > /srv/sum; rm /srv/old/one
echo {name} > /srv/mine; echo x > /tmp/x
"""


class Moment(NamedTuple):
    """Where an agent dies."""

    place: str
    live: bool = False
    how: str = "alone"
    uploads: int = 0  # that the registry has begun and keeps until its own `uploadpurging`
    images: int = 0  # that are published and no checkpoint's; the service's sweep finds them


_AGENT, _OCI = "atoll.agent", "atoll.oci"
_UPLOAD, _STORE = f"{_OCI}.registry_upload:_Upload", f"{_OCI}.registry:RegistryStore"
MOMENTS: Final = {
    "scanned": Moment(f"{_AGENT}.saving:_scanned:after"),
    "with a lease on the base": Moment(f"{_AGENT}.commit:bring:before"),
    "as the layer's upload begins": Moment(f"{_UPLOAD}.begin:after", uploads=1),
    "with a part of the layer sent": Moment(f"{_UPLOAD}._patch:after", uploads=1),
    "with all of the layer sent": Moment(f"{_UPLOAD}.finish:before", uploads=1),
    "before the image is published": Moment(f"{_STORE}.publish:before"),
    "before the image's manifest is put": Moment(f"{_STORE}.put_manifest:before"),
    "with the image's manifest put": Moment(f"{_STORE}.put_manifest:after", images=1),
    "with the image published": Moment(f"{_STORE}.publish:after", images=1),
    "with its report not listed": Moment(f"{_OCI}.registry_referrers:_list:before", images=1),
    "with its report beside it": Moment(f"{_AGENT}.saving:_attach:after", images=1),
    "before it is told": Moment(f"{_AGENT}.process:Agent._deliver:before", images=1),
    "after it is told": Moment(f"{_AGENT}.process:Agent._deliver:after"),
    "live: as it tries what the kernel tells": Moment(f"{_OCI}.watch:Watch.touched:before", True),
    "live: with its layers merged": Moment(f"{_AGENT}.copying:Copy._merged:after", True),
    "live: after the first pass": Moment(f"{_AGENT}.copying:Copy._is_little:before", True),
    "live: about to freeze": Moment(f"{_AGENT}.freeze:_watchdog:before", True),
    "live: while it is frozen": Moment(f"{_AGENT}.copying:mapped_files:before", True),
    "live: with its watchdog": Moment(f"{_AGENT}.copying:mapped_files:before", True, "all"),
    "live: with the cut aside": Moment(f"{_AGENT}.aside:Aside.flush:before", True),
    "live: before the image is published": Moment(f"{_STORE}.publish:before", True),
    "live: as it notes the save": Moment(f"{_AGENT}.looking:Path.replace:before", True, images=1),
    "live: before it is told": Moment(f"{_AGENT}.process:Agent._deliver:before", True, images=1),
}

OFTEN: Final = {
    "scanned",
    "with a part of the layer sent",
    "with the image's manifest put",
    "before it is told",
    "live: while it is frozen",
    "live: with its watchdog",
}
"""Those that `make test` looks at."""


@pytest.fixture(scope="module")
def world(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    nodes = NodeSettings(name=HERE, look_every_s=3600, lease_s=3)
    checkpoints = CheckpointSettings(most_layers=3)
    top = tmp_path_factory.mktemp("killed")
    with whole_world(node, top, nodes=nodes, checkpoints=checkpoints) as found:
        yield found


@pytest.fixture(scope="module")
def first(world: World) -> str:
    """The digest of a checkpoint that all servers here start from."""
    return first_of(world)


@pytest.mark.parametrize("moment", moments(list(MOMENTS), OFTEN))
def test_an_agent_killed_at_any_moment_leaves_nothing_and_the_next_one_saves(
    world: World, first: str, moment: str
) -> None:
    dies = MOMENTS[moment]
    node, agents, name = world.node, world.agents, f"m{list(MOMENTS).index(moment)}"
    before = Counter(world.registry.uploads(REPOSITORY))
    script = WORK.format(name=name) + (WRITE if dies.live else "")
    container = node.run(script, image=world.named(first), wait=not dies.live)
    upper = world.runtime.find(container).upper / "srv"
    if dies.live:
        until((upper / "n").exists, "it writes")
    world.begin(name, container, world.named(first))
    world.asked(name, live=dies.live)

    agents.killed(dies.place, dies.how)

    if dies.live:
        goes_on(world.runtime.find(container), frozen=dies.how == "all")
    assert (world.newest(name).status is CheckpointStatus.READY) == (moment == "after it is told")
    assert world.good(first)

    with agents.running():
        saved = world.final(name)
        if dies.live:
            goes_on(world.runtime.find(container))
    assert (saved.status, saved.message) == (CheckpointStatus.READY, None)

    left = Counter(world.registry.uploads(REPOSITORY)) - before
    assert left.total() == dies.uploads
    no_debris(world, images=dies.images)
    assert world.good(first)

    image = world.pulled(str(saved.digest))
    seen = node.output(image, "cat /srv/first* /srv/mine; ls /srv/old /tmp; sha256sum -c /srv/sum")
    assert seen.split() == [*"212", name, "/srv/old:", "two", "/tmp:", "/srv/big:", "OK"]
    if dies.live:
        assert node.output(image, "cat /srv/n").strip().isdecimal()
        assert layers(world, first)[-1] not in layers(world, str(saved.digest)), "they were merged"
    node.ctr("images", "rm", image)
    node.remove(container)
