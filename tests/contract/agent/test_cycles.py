"""Change, checkpoint, start, over and over: layers, sizes, time and memory stay as they are."""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from atoll import oci
from atoll.agent.commit import Saved, commit
from atoll.agent.copying import Wishes
from atoll.agent.runtimes.containerd import Containerd
from atoll.oci.merge import MergedSource
from atoll.oci.registry import RegistryStore

from tests.contract.agent.node import BASE, Node, until
from tests.contract.registry.sent import sent
from tests.contract.registry.servers import Running, started

Entries = Callable[[MergedSource], Iterator[oci.Entry]]

MOST = 8
SCRIPT = """
echo {n} > /srv/n; echo {n} > /srv/kept-{n}; rm -f /srv/kept-{old}
cat /bin/busybox > /srv/again; echo {n} >> /srv/again
rm -rf /srv/made; mkdir /srv/made; echo {n} > /srv/made/{n}
"""


@dataclass
class Cycles:
    """Servers of one user, one after the other, each started from what the last one left."""

    node: Node
    runtime: Containerd
    registry: Running
    state: Path
    image: str = BASE
    base: tuple[str, ...] = ()  # layers
    own: tuple[str, ...] = ()
    sizes: list[int] = field(default_factory=list)
    layers: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # of CPU: others work here too
    memory: list[int] = field(default_factory=list)
    fetched: list[int] = field(default_factory=list)
    identity: str = ""

    def change(self, n: int, *, live: bool = False) -> None:
        """A container from the last image, in which a server's work is done."""
        script = SCRIPT.format(n=n, old=n - 3)
        if live:
            script += "echo ready > /srv/ready; while :; do sleep 1; done"
        self.identity = self.node.run(script, image=self.image, wait=not live)
        if live:
            upper = self.runtime.find(self.identity).upper
            until((upper / "srv" / "ready").exists, "it has worked")

    def save(
        self,
        n: int,
        *,
        live: bool = False,
        most: int = MOST,
        secrets: frozenset[bytes] = frozenset(),
    ) -> Saved:
        """Saves it as `N` in the user's repository, and removes it."""
        wishes = Wishes(own=frozenset(self.own), most_layers=most, secrets=secrets)
        with RegistryStore(self.registry.reached(), "users/ada") as store:
            began = time.process_time()
            saved = commit(
                self.runtime,
                self.identity,
                store,
                f"c{n}",
                state=self.state,
                wishes=wishes,
                live=live,
            )
            self.seconds.append(time.process_time() - began)
            manifest = oci.load_image(store, saved.image.digest).manifest
        every = tuple(layer.digest for layer in manifest.layers)
        self.base = self.base or every[: -len(saved.copied.layers)]
        assert every[: len(self.base)] == self.base
        self.own = every[len(self.base) :]
        self.layers.append(len(self.own))
        self.sizes.append(sum(layer.size for layer in manifest.layers[len(self.base) :]))
        self.memory.append(held())
        self.node.remove(self.identity)
        return saved

    def start(self, saved: Saved) -> None:
        """The node pulls what it lacks of the new image; the old one goes."""
        before = self.registry.log.stat().st_size
        name = f"{self.registry.address}/users/ada@{saved.image.digest}"
        self.node.ctr("images", "pull", "--plain-http", name)
        got = {one.digest for one in sent(self.registry, before)}
        assert self.base
        assert not got & set(self.base)  # the node has these: only the delta travels
        self.fetched.append(len(got & set(self.own)))
        if self.image != BASE:
            self.node.ctr("images", "rm", self.image)
        self.image = name

    def content(self) -> list[str]:
        """What a container of the last image sees."""
        return self.node.output(self.image, "cat /srv/n; ls /srv /srv/made").split()


def held() -> int:
    """Bytes that this process holds, without what it has free but not given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(psutil.Process().memory_info().rss)


@pytest.fixture
def cycles(node: Node, runtime: Containerd, tmp_path: Path) -> Iterator[Cycles]:
    node.load_base()
    with started(tmp_path / "registry") as registry:
        found = Cycles(node, runtime, registry, tmp_path / "state")
        yield found
        if found.image != BASE:
            node.ctr("images", "rm", found.image)


def expected(n: int) -> list[str]:
    kept = sorted(f"kept-{k}" for k in range(max(1, n - 2), n + 1))
    return [str(n), "/srv:", "again", *kept, "made", "n", "old", "/srv/made:", str(n)]


def test_a_users_layers_become_one_when_there_are_too_many_or_too_much_is_hidden(
    cycles: Cycles,
) -> None:
    for n in range(1, 5):
        cycles.change(n)
        cycles.start(cycles.save(n))

    assert max(cycles.layers) < 3  # each save hides what the one before brought
    assert sum(cycles.fetched) < 2 * len(cycles.fetched)
    assert min(cycles.fetched) >= 1
    assert cycles.content() == expected(4)


def test_a_live_save_makes_room_for_its_own_layers_first(cycles: Cycles) -> None:
    cycles.change(1)
    first = cycles.save(1)
    cycles.start(first)
    cycles.own = (*cycles.own,)
    wishes = Wishes(own=frozenset(cycles.own), most_layers=2)
    cycles.change(2, live=True)
    with RegistryStore(cycles.registry.reached(), "users/ada") as store:
        saved = commit(
            cycles.runtime, cycles.identity, store, "c2",
            state=cycles.state, wishes=wishes, live=True,
        )  # fmt: skip
    cycles.node.remove(cycles.identity)
    assert saved.copied.merged
    cycles.start(saved)
    assert cycles.content() == [*expected(2)[:-4], "n", "old", "ready", "/srv/made:", "2"]


def test_layers_that_become_one_are_looked_through_for_secrets(cycles: Cycles) -> None:
    found = []
    for n, script in enumerate(
        ("echo machine x > /srv/.netrc", "echo more > /srv/more", "rm /srv/.netrc"), 1
    ):
        cycles.identity = cycles.node.run(script, image=cycles.image, wait=True)
        saved = cycles.save(n, most=1)
        cycles.start(saved)
        found.append(sorted(saved.copied.secrets))
    assert found == [[b"srv/.netrc"], [b"srv/.netrc"], []]


@pytest.mark.parametrize(
    "then",
    ["rm /srv/.netrc", "rm -r /srv", "rm /srv/.netrc; mkdir /srv/.netrc", "echo > /srv/.netrc"],
)
def test_layers_become_one_when_a_secret_in_them_is_gone(cycles: Cycles, then: str) -> None:
    merged, secrets = [], frozenset({b"srv/.netrc"})
    for n, script in enumerate(
        ("echo machine x > /srv/.netrc", "echo more > /srv/more", "echo more > /etc/more", then), 1
    ):
        cycles.identity = cycles.node.run(script, image=cycles.image, wait=True)
        saved = cycles.save(n, secrets=secrets)
        cycles.start(saved)
        merged.append(saved.copied.merged)
    assert merged == [False, False, False, True]
    with RegistryStore(cycles.registry.reached(), "users/ada") as store:
        found = oci.load_image(store, saved.image.digest)
        for layer, diff_id in zip(found.manifest.layers, found.config.diff_ids, strict=True):
            with oci.open_layer(store, layer, diff_id) as reader:
                assert not any(b"machine x" in reader.read() for _ in reader)


@pytest.mark.parametrize("why", [oci.TooSlowError, oci.LimitError, oci.DigestError])
def test_layers_that_cannot_become_one_stay_as_they_are(
    cycles: Cycles, monkeypatch: pytest.MonkeyPatch, why: type[oci.OciError]
) -> None:
    for n in (1, 2):
        cycles.change(n)
        cycles.start(cycles.save(n))
    before = cycles.own

    def entries(merged: MergedSource, real: Entries = MergedSource.entries) -> Iterator[oci.Entry]:
        yield next(real(merged))
        raise why("in the middle")

    monkeypatch.setattr(MergedSource, "entries", entries)
    cycles.change(3)
    saved = cycles.save(3, most=1)
    assert not saved.copied.merged
    assert cycles.own[:-1] == before
    cycles.start(saved)
    assert cycles.content() == expected(3)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_cycles_change_nothing_of_size_layers_time_and_memory(cycles: Cycles) -> None:
    for n in range(1, 101):
        cycles.change(n)
        cycles.start(cycles.save(n))

    assert cycles.content() == expected(100)
    assert max(cycles.layers) <= MOST
    assert max(cycles.sizes) <= 3 * cycles.sizes[0]
    assert statistics.median(cycles.seconds[-20:]) <= 1.5 * statistics.median(cycles.seconds[5:25])
    assert cycles.memory[-1] - cycles.memory[20] <= 20 << 20
    assert sum(cycles.fetched) <= 1.5 * len(cycles.fetched)  # a start pulls its delta alone
