"""The whole way: a real container on a real node, saved by its agent into a real registry, by order."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from atoll import oci
from atoll.agent.policy import VERSION
from atoll.agent.process import Agent, Service
from atoll.agent.runtimes.choice import RuntimeName
from atoll.agent.runtimes.containerd import Containerd
from atoll.agent.saving import CHANGES, ContainerSaver
from atoll.checkpoints import client
from atoll.checkpoints.models import (
    Changes,
    CheckpointStatus,
    Place,
    ServerStatus,
    StartRequest,
    Trigger,
)
from atoll.checkpoints.registry_tokens import RegistryTokens
from atoll.checkpoints.settings import CheckpointSettings, NodeSettings, RegistrySettings
from atoll.checkpoints.targets import RegistryTargets
from atoll.kit.home import Home
from atoll.kit.names import is_id
from atoll.oci import directory, overlay
from atoll.oci.image import Compression
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_referrers import content as artifact
from atoll.oci.registry_referrers import referrers

from tests.contract.agent.node import Node
from tests.contract.agent.world import registry_for
from tests.contract.registry.servers import Running
from tests.service.nodes.cluster import Cluster, eventually
from tests.service.whole import no_flights, whole_service

HERE = "node-1"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def tokens(home: Home) -> RegistryTokens:
    return RegistryTokens(home, issuer="atoll", service="registry")


@pytest.fixture
def registry(tokens: RegistryTokens, tmp_path: Path) -> Iterator[Running]:
    with registry_for(tokens, tmp_path) as running:
        yield running


@pytest.fixture
def settings(registry: Running) -> RegistrySettings:
    return RegistrySettings(address=registry.address, plain_http=True, issuer="atoll")


@pytest.fixture
def targets(settings: RegistrySettings, tokens: RegistryTokens) -> RegistryTargets:
    return RegistryTargets(settings, tokens)


@pytest.fixture
def cluster(home: Home, settings: RegistrySettings) -> Iterator[Cluster]:
    checkpoints = CheckpointSettings(most_user_bytes=1 << 20)
    nodes = NodeSettings(name=HERE, look_every_s=0.2, compression="gzip", setuid=False)
    with (
        no_flights(),
        whole_service(home, nodes=nodes, registry=settings, checkpoints=checkpoints) as url,
    ):
        found = Cluster(home, f"{url}/api/v1/")
        yield found
        found.close()


@pytest.fixture
def damaged(monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    """Names of files and directories that the disk cannot read."""
    names: set[bytes] = set()
    real_file, real_directory = directory.open_file, overlay.opened_directory

    def read(name: bytes) -> bytes:
        if name in names:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return name

    monkeypatch.setattr(directory, "open_file", lambda name, at: real_file(read(name), at))
    monkeypatch.setattr(
        overlay, "opened_directory", lambda name, at: real_directory(read(name), at)
    )
    return names


@contextmanager
def agent(cluster: Cluster, node: Node, state: Path) -> Iterator[None]:
    """A real agent of the node, in a thread."""
    service = Service(cluster.url, cluster.home.secrets / "agent-token")
    saver = ContainerSaver(state, RuntimeName.CONTAINERD, node.socket, node.namespace)
    ending = threading.Event()
    thread = threading.Thread(target=Agent(HERE, service, saver, ending, wait_s=1).run)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(20)
        service.close()
        assert not thread.is_alive()


def figures(cluster: Cluster) -> dict[str, float]:
    """What `/metrics` tells of saves, by name and labels."""
    text = httpx.get(f"{cluster.url.partition('/services/')[0]}/metrics").text
    lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith("atoll_"))
    return {name: float(value) for name, _, value in lines}


def notes(image: oci.Image) -> dict[str, str]:
    """What an image tells of itself."""
    return {name.rpartition("/")[2]: text for name, text in image.manifest.annotations.items()}


def begin(
    cluster: Cluster, runtime: Containerd, container: str, save_every_s: int | None = None
) -> None:
    """As the hub: the server runs in this container."""
    asked = StartRequest(contained=True, save_every_s=save_every_s)
    cluster.send(client.start("ada", "", asked), "hub")
    found = eventually(
        lambda: cluster.send(client.preparation("ada", ""), "hub"), lambda found: found.ready
    )
    image = runtime.find(container).image
    place = Place(node=HERE, container=container, image=f"registry.example/base@{image.digest}")
    cluster.send(client.started("ada", "", found.start_id, place), "hub")


def test_a_container_is_saved_live_and_at_rest_into_its_users_repository(
    cluster: Cluster, node: Node, runtime: Containerd, targets: RegistryTargets, tmp_path: Path
) -> None:
    node.load_base()
    work = "echo kept > /srv/notes; echo x > /tmp/x; echo x > /srv/su; chmod 4755 /srv/su; "
    container = node.run(work + "while :; do sleep 1; done")
    begin(cluster, runtime, container)
    started_from = runtime.find(container).image.digest
    before = figures(cluster)
    with agent(cluster, node, tmp_path / "state"):
        live = cluster.final(cluster.save().id)
        assert (live.status, live.message) == (CheckpointStatus.READY, None)
        node.ctr("tasks", "kill", "-s", "KILL", container)
        node.ended(container)
        cluster.end()
        saved = cluster.saved()

    newest = cluster.checkpoints()[0]
    assert newest.digest == saved.environment
    assert newest.layer_size > 0
    assert {(one.path, one.reason) for one in newest.left_out} == {
        ("tmp", "/tmp holds temporary files"),
        ("srv/su", "its setuid and setgid bits are not saved"),
    }
    with targets.content("atoll/ada") as content:
        assert isinstance(content, RegistryStore)
        [told] = referrers(content, str(saved.environment), artifact_type=CHANGES)
        report = Changes.model_validate_json(artifact(content, told))
        assert report == newest.changes
        assert oci.load_image(content, str(live.digest)).manifest.layers
        image = oci.load_image(content, str(saved.environment))
        noted, before_it = notes(image), notes(oci.load_image(content, str(live.digest)))
        assert (noted["id"], before_it["id"]) == (newest.id, live.id)
        assert (noted["parent"], noted["policy"]) == (started_from, VERSION)
        assert is_id(noted["server"])
        assert noted["server"] == before_it["server"]
        assert image.manifest.layers[-1].media_type == Compression.GZIP.value, "as it is set"
        with oci.open_layer(content, image.manifest.layers[-1], image.config.diff_ids[-1]) as layer:
            modes = {oci.shown(entry.path): entry.mode for entry in layer}
        assert modes["srv/notes"] == 0o644
        assert modes["srv/su"] == 0o755, "as it is set"
    node.remove(container)

    grown = {name: value - before.get(name, 0.0) for name, value in figures(cluster).items()}
    assert grown['atoll_saves_total{node="node-1",outcome="saved"}'] == 2
    assert grown['atoll_saved_bytes_total{node="node-1"}'] >= len("kept\n")
    assert grown['atoll_save_seconds_count{node="node-1"}'] == 2
    assert grown['atoll_frozen_seconds_count{node="node-1"}'] == 1, "the live one alone"


def test_a_running_container_is_saved_by_itself_once_for_what_changed_and_gives_way_to_its_stop(
    cluster: Cluster, node: Node, runtime: Containerd, targets: RegistryTargets, tmp_path: Path
) -> None:
    node.load_base()
    container = node.run("echo kept > /srv/notes; while :; do sleep 1; done")
    begin(cluster, runtime, container, save_every_s=2)
    with agent(cluster, node, tmp_path / "state"):
        [found] = eventually(
            cluster.checkpoints, lambda all_: [one for one in all_ if one.status.final]
        )
        assert (found.status, found.trigger) == (CheckpointStatus.READY, Trigger.AUTOMATIC)
        time.sleep(5)  # more than twice the time: nothing changed, so nothing is saved
        assert [one.id for one in cluster.checkpoints()] == [found.id]
        node.ctr("tasks", "kill", "-s", "KILL", container)
        node.ended(container)
        cluster.end()
        saved = cluster.saved()
        eventually(cluster.checkpoints, lambda all_: found.id not in [one.id for one in all_])

    [stop] = cluster.checkpoints()
    assert (stop.trigger, stop.digest) == (Trigger.STOP, saved.environment)
    with targets.content("atoll/ada") as content:
        image = oci.load_image(content, str(stop.digest))
        with oci.open_layer(content, image.manifest.layers[-1], image.config.diff_ids[-1]) as layer:
            assert "srv/notes" in {oci.shown(entry.path) for entry in layer}
    node.remove(container)


def test_what_changed_is_told_while_it_runs_and_of_what_was_saved(
    cluster: Cluster, node: Node, runtime: Containerd, tmp_path: Path
) -> None:
    node.load_base()
    place = "/opt/environment/lib/python3.11/site-packages"
    container = node.run(
        f"mkdir -p {place}/polars-2.1.dist-info {place}/polars /opt/tools;"
        f" echo 'polars/a.py,,' > {place}/polars-2.1.dist-info/RECORD; echo 1 > {place}/polars/a.py;"
        " echo x > /opt/tools/x; rm /etc/motd; while :; do sleep 1; done"
    )
    begin(cluster, runtime, container)
    with agent(cluster, node, tmp_path / "state"):
        first = eventually(
            lambda: cluster.server().unsaved, lambda found: found and found.count == 3
        )
        live = cluster.final(cluster.save().id)
        eventually(lambda: cluster.server().unsaved, lambda found: found is None)
        more = f"mkdir {place}/shap-1.0.dist-info; echo y > /opt/tools/y"
        node.ctr("tasks", "exec", "--exec-id", "more", container, "/bin/sh", "-c", more)
        second = eventually(
            lambda: cluster.server().unsaved, lambda found: found and found.count == 2
        )
    node.remove(container)

    assert first is not None
    assert [(p.name, p.before, p.after) for p in first.packages] == [("polars", None, "2.1")]
    assert {d.path: d.files for d in first.directories} == {"/etc": 1, "/opt/tools": 1}
    assert live.changes == first
    assert second is not None
    assert [(p.name, p.after) for p in second.packages] == [("shap", "1.0")]
    assert [(d.path, d.files) for d in second.directories] == [("/opt/tools", 1)]


def test_two_checkpoints_of_a_container_are_compared_without_reading_their_base(
    cluster: Cluster, node: Node, runtime: Containerd, tmp_path: Path
) -> None:
    node.load_base()
    container = node.run("echo 1 > /srv/a; echo 1 > /srv/b; while :; do sleep 1; done")
    begin(cluster, runtime, container)
    with agent(cluster, node, tmp_path / "state"):
        one = cluster.final(cluster.save().id)
        more = "echo 22 > /srv/a; rm /srv/b /etc/motd; mkdir /opt; echo x > /opt/x"
        node.ctr("tasks", "exec", "--exec-id", "more", container, "/bin/sh", "-c", more)
        two = cluster.final(cluster.save().id)
    node.remove(container)

    found = cluster.send(client.changes(two.id, one.id))

    assert {d.path: (d.files, d.size) for d in found.directories} == {
        "/etc": (1, 0),
        "/opt": (1, 2),
        "/srv": (2, 3),
    }
    assert cluster.send(client.changes(two.id, two.id)).count == 0


def test_a_container_over_the_quota_is_refused_in_the_scan(
    cluster: Cluster, node: Node, runtime: Containerd, registry: Running, tmp_path: Path
) -> None:
    node.load_base()
    container = node.run("head -c 2000000 /dev/urandom > /srv/big", wait=True)
    begin(cluster, runtime, container)
    cluster.end()
    with agent(cluster, node, tmp_path / "state"):
        waiting = eventually(cluster.server, lambda found: found.reason == "quota_exceeded")

    assert "2.0 MB" in str(waiting.message)
    assert "Delete or unpin" in str(waiting.message)
    assert registry.images("atoll/ada") == set()
    cluster.send(client.discard("ada", ""))
    assert cluster.server().status == ServerStatus.SAVED
    node.remove(container)


def test_while_the_disk_cannot_read_something_nothing_is_called_saved_and_then_all_is(
    cluster: Cluster, node: Node, runtime: Containerd, damaged: set[bytes], tmp_path: Path
) -> None:
    node.load_base()
    work = "echo kept > /srv/notes; mkdir /srv/d; echo x > /srv/bad; ln /srv/bad /srv/worse"
    container = node.run(work, wait=True)
    begin(cluster, runtime, container)
    damaged.update({b"bad", b"worse", b"d"})
    cluster.end()
    with agent(cluster, node, tmp_path / "state"):
        waiting = eventually(cluster.server, lambda found: found.reason == "disk_damaged")
        assert "cannot be read from the disk (Input/output error)" in str(waiting.message)
        assert waiting.status in {ServerStatus.SAVING, ServerStatus.UNSAVED}
        damaged.clear()
        cluster.saved()
    node.remove(container)
    newest = cluster.checkpoints()[0]
    assert newest.left_out == []
    assert newest.changes is not None
    assert [(one.path, one.files) for one in newest.changes.directories] == [("/srv", 3)]


def test_a_container_that_runs_on_after_its_stop_is_waited_for(
    cluster: Cluster, node: Node, runtime: Containerd, tmp_path: Path
) -> None:
    node.load_base()
    container = node.run("while :; do sleep 1; done")
    begin(cluster, runtime, container)
    cluster.end()
    with agent(cluster, node, tmp_path / "state"):
        eventually(cluster.server, lambda found: found.reason == "container_running")
        node.ctr("tasks", "kill", "-s", "KILL", container)
        saved = cluster.saved()

    assert saved.reason is None
    node.remove(container)
