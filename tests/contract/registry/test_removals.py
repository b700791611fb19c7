"""Checkpoints that are no longer kept go from the registry, by digest, and nothing else does."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from atoll import oci
from atoll.checkpoints import client, node_client
from atoll.checkpoints.node_models import ImageSaved, NotSaved, SaveOrder, SaveResult
from atoll.checkpoints.registry_tokens import RegistryTokens
from atoll.checkpoints.removals import Removals
from atoll.checkpoints.settings import CheckpointSettings, NodeSettings, RegistrySettings
from atoll.checkpoints.store import HoldRow, RemovalRow, release_holds
from atoll.checkpoints.targets import targets
from atoll.kit.db import Database, now
from atoll.kit.home import Home
from atoll.oci.registry import RegistryStore
from atoll.oci.registry_settings import AccessToken

from tests.contract.registry.servers import PROGRAM, Running, free_port, started
from tests.databases import url_of
from tests.service.nodes.cluster import NODE, Cluster, eventually
from tests.service.whole import no_flights, whole_service
from tests.unit.oci.trees import NOW

REPOSITORY = "atoll/ada"
GRACE_S = 86_400.0


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def auth(home: Home, tmp_path: Path) -> dict[str, object]:
    """The platform's tokens only."""
    tokens = RegistryTokens(home, issuer="atoll", service="registry")
    (tmp_path / "bundle.pem").write_text(tokens.certificate)
    return {
        "token": {
            "realm": "http://127.0.0.1:1/token",
            "issuer": "atoll",
            "service": "registry",
            "rootcertbundle": str(tmp_path / "bundle.pem"),
        }
    }


@pytest.fixture
def cluster(home: Home, port: int, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The service; one checkpoint of each server is kept beside those that are needed.

    A parameter is the time of grace of what is no longer kept.
    """
    grace_s = getattr(request, "param", 0.3)
    checkpoints = CheckpointSettings(keep_last=1, remove_after_s=grace_s)
    registry = RegistrySettings(address=f"127.0.0.1:{port}", plain_http=True, issuer="atoll")
    nodes = NodeSettings(name=NODE, look_every_s=3600)
    with (
        no_flights(),
        whole_service(home, nodes=nodes, registry=registry, checkpoints=checkpoints) as url,
    ):
        found = Cluster(home, f"{url}/api/v1/")
        yield found
        found.close()


@pytest.fixture
def registry(port: int, auth: dict[str, object], tmp_path: Path) -> Iterator[Running]:
    with started(tmp_path / "registry", auth=auth, port=port) as running:
        yield running


def push(order: SaveOrder, registry: Running, tmp_path: Path) -> oci.Descriptor:
    """As an agent: puts an image of one new file, on what the container started from, in its place."""
    target = order.target
    assert target.kind == "registry"
    assert target.token is not None
    token = AccessToken(target.token.value, target.token.expires)
    tree = tmp_path / order.checkpoint / "srv"
    tree.mkdir(parents=True)
    (tree / order.checkpoint).write_text(order.checkpoint)
    reached = registry.reached(credentials=lambda: token)
    with RegistryStore(reached, target.repository) as store:
        layer = oci.write_layer(oci.DirectorySource(tree.parent, owner=(0, 0)), store)
        try:
            parent: str | oci.Image = oci.load_image(store, order.parent)
        except oci.MissingError:
            parent = oci.create_base(store, "base", created=NOW, labels={}).digest
        return oci.append_layer(store, parent, layer, name=order.checkpoint, created=NOW)


def told(cluster: Cluster, order: SaveOrder, image: oci.Descriptor) -> None:
    saved = ImageSaved(outcome="saved", digest=str(image.digest), added=1)
    result = SaveResult(lease=order.lease, result=saved)
    cluster.send(node_client.result(NODE, order.checkpoint, result), cluster.token)


def save(cluster: Cluster, registry: Running, tmp_path: Path) -> str:
    """A server starts where the last one stopped, writes, and is saved: the image's digest."""
    cluster.start()
    cluster.end()
    order = eventually(lambda: _order(cluster), lambda found: found is not None)
    assert order is not None
    image = push(order, registry, tmp_path)
    told(cluster, order, image)
    assert cluster.saved().environment == image.digest
    return str(image.digest)


def _order(cluster: Cluster) -> SaveOrder | None:
    content = cluster.send(node_client.work(NODE, 0), cluster.token)
    return SaveOrder.model_validate_json(content) if content else None


def gone(registry: Running, digest: str) -> None:
    eventually(lambda: digest in registry.images(REPOSITORY), lambda found: not found)


def metric(cluster: Cluster, name: str) -> float:
    text = httpx.get(cluster.url.partition("/services/")[0] + "/metrics").text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def test_what_is_no_longer_kept_goes_and_what_continues_from_it_is_whole(
    cluster: Cluster, registry: Running, tmp_path: Path
) -> None:
    first = save(cluster, registry, tmp_path)
    second = save(cluster, registry, tmp_path)

    gone(registry, first)
    eventually(lambda: metric(cluster, "atoll_registry_removals_waiting"), lambda n: n == 0)

    assert second in registry.images(REPOSITORY)
    config = tmp_path / "registry" / "config.yml"
    collect = [PROGRAM, "garbage-collect", "--delete-untagged=true", str(config)]
    subprocess.run(collect, check=True, capture_output=True)
    tokens = RegistryTokens(cluster.home, issuer="atoll", service="registry")
    issued = tokens.issue(REPOSITORY, "pull", save="test")
    reached = registry.reached(credentials=lambda: AccessToken(issued.value, issued.expires))
    with RegistryStore(reached, REPOSITORY) as store:
        unpacked = oci.unpack(store, second, tmp_path / "restored")
    assert unpacked.entries
    assert len(list((tmp_path / "restored" / "srv").iterdir())) == 2


def test_what_a_job_holds_stays_until_the_job_lets_go(
    cluster: Cluster, registry: Running, tmp_path: Path
) -> None:
    first = save(cluster, registry, tmp_path)
    database = Database(url_of(cluster.home))
    hold(database, first)
    save(cluster, registry, tmp_path)
    third = save(cluster, registry, tmp_path)
    eventually(lambda: len(registry.images(REPOSITORY)), lambda n: n == 3)  # base, held, current

    assert {first, third} < registry.images(REPOSITORY)
    assert first in {str(one.digest) for one in cluster.checkpoints()}
    release(database)
    fourth = save(cluster, registry, tmp_path)
    gone(registry, first)
    assert fourth in registry.images(REPOSITORY)
    database.close()


def hold(database: Database, digest: str) -> None:
    with database.write() as session:
        session.add(HoldRow(holder="job:j-1", digest=digest))


def release(database: Database) -> None:
    with database.write() as session:
        release_holds(session, "job:j-1")


def test_the_image_of_a_running_container_stays(
    cluster: Cluster, registry: Running, tmp_path: Path
) -> None:
    first = save(cluster, registry, tmp_path)
    cluster.start()
    cluster.save()  # live: the server is at another image now, and runs on from the first
    order = eventually(lambda: _order(cluster), lambda found: found is not None)
    assert order is not None
    image = push(order, registry, tmp_path)
    told(cluster, order, image)
    eventually(lambda: cluster.server().environment, lambda found: found == image.digest)

    assert first in {str(one.digest) for one in cluster.checkpoints()}
    [oldest] = [one for one in cluster.checkpoints() if one.digest == first]
    with pytest.raises(Exception, match="continues from"):
        cluster.send(client.delete(oldest.id))
    assert first in registry.images(REPOSITORY)


def test_a_registry_that_is_away_is_asked_again(
    cluster: Cluster, port: int, auth: dict[str, object], tmp_path: Path
) -> None:
    place, database = tmp_path / "registry", Database(url_of(cluster.home))
    with started(place, auth=auth, port=port) as there:
        first = save(cluster, there, tmp_path)
        hold(database, first)
        second = save(cluster, there, tmp_path)
    release(database)
    [oldest] = [one for one in cluster.checkpoints() if one.digest == first]
    cluster.send(client.delete(oldest.id))
    eventually(lambda: noted(database, first), lambda found: found and "not" in found)
    with started(place, auth=auth, port=port) as there:
        gone(there, first)
        assert second in there.images(REPOSITORY)
        eventually(lambda: noted(database, first), lambda found: found is None)
    database.close()


def test_a_registry_that_allows_no_deleting_is_told_apart(
    cluster: Cluster, port: int, auth: dict[str, object], tmp_path: Path
) -> None:
    database = Database(url_of(cluster.home))
    with started(tmp_path / "registry", auth=auth, port=port, delete=False) as there:
        first = save(cluster, there, tmp_path)
        save(cluster, there, tmp_path)
        message = eventually(lambda: noted(database, first), bool)
        assert first in there.images(REPOSITORY)
    database.close()
    assert "delete" in str(message)


def noted(database: Database, digest: str) -> str | None:
    with database.read() as session:
        row = session.get(RemovalRow, (REPOSITORY, digest))
        return row.message if row is not None else None


def test_what_a_killed_save_left_is_found_by_its_tag(
    cluster: Cluster, registry: Running, tmp_path: Path
) -> None:
    kept = save(cluster, registry, tmp_path)
    cluster.start()
    asked = cluster.save()
    order = eventually(lambda: _order(cluster), lambda found: found is not None)
    assert order is not None
    left = push(order, registry, tmp_path)  # published, and never told
    failed = NotSaved(outcome="failed", code="internal", message="x", retry=False)
    result = SaveResult(lease=order.lease, result=failed)
    cluster.send(node_client.result(NODE, order.checkpoint, result), cluster.token)
    cluster.final(asked.id)
    settings = RegistrySettings(address=registry.address, plain_http=True, issuer="atoll")
    database = Database(url_of(cluster.home))
    ground = SimpleNamespace(
        database=database, settings=CheckpointSettings(remove_after_s=0), clock=now
    )
    removals = Removals(ground, targets(cluster.home, settings))  # type: ignore[arg-type]  # what it uses of it

    assert removals.sweep() == 1
    assert removals.sweep() == 0

    gone(registry, str(left.digest))
    assert kept in registry.images(REPOSITORY)
    database.close()


class Clock:
    """The time, as a test wants it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return now() + self.ahead


@pytest.mark.parametrize("cluster", [GRACE_S], indirect=True)
def test_an_image_stays_for_its_time_of_grace_and_longer_where_it_is_held(
    cluster: Cluster, registry: Running, tmp_path: Path
) -> None:
    first = save(cluster, registry, tmp_path)
    second = save(cluster, registry, tmp_path)
    database = Database(url_of(cluster.home))
    eventually(lambda: waits(database, first), bool)
    clock = Clock()
    ground = SimpleNamespace(
        database=database, settings=CheckpointSettings(remove_after_s=GRACE_S), clock=clock
    )
    settings = RegistrySettings(address=registry.address, plain_http=True, issuer="atoll")
    removals = Removals(ground, targets(cluster.home, settings))  # type: ignore[arg-type]  # what it uses of it
    key = f"{REPOSITORY}@{first}"

    assert GRACE_S - 60 < (removals.step(key) or 0) <= GRACE_S
    clock.ahead = timedelta(seconds=GRACE_S - 60)
    assert 0 < (removals.step(key) or 0) <= 60
    assert first in registry.images(REPOSITORY)

    hold(database, first)
    clock.ahead = timedelta(seconds=GRACE_S + 1)
    again = removals.step(key)
    assert again is not None
    assert again > 0
    assert first in registry.images(REPOSITORY)

    release(database)
    clock.ahead += timedelta(seconds=again + 1)
    assert removals.step(key) is None
    assert first not in registry.images(REPOSITORY)
    assert second in registry.images(REPOSITORY)
    assert removals.step(key) is None
    database.close()


def waits(database: Database, digest: str) -> bool:
    with database.read() as session:
        return session.get(RemovalRow, (REPOSITORY, digest)) is not None
