"""A start whose image cannot be pulled goes on with the next best one, and says so."""

from __future__ import annotations

import pytest
from atoll.checkpoints import client
from atoll.checkpoints.models import Digest, Place, Preparation, StartRequest
from atoll.kit.db import Database
from atoll.kit.errors import UnauthenticatedError
from atoll.kit.http import Connection
from sqlalchemy import text

from tests.databases import url_of

from .cluster import NODE, Cluster, eventually


def prepared(cluster: Cluster, *without: str) -> Preparation:
    request = StartRequest(contained=True, without=[Digest(one) for one in without])
    cluster.send(client.start("ada", "", request), "hub")
    return eventually(
        lambda: cluster.send(client.preparation("ada", ""), "hub"), lambda found: found.ready
    )


def saved(cluster: Cluster, file: str) -> str:
    """A server is started, changed and ended: the digest that it is saved as."""
    container = cluster.start()
    (container / file).write_text(file)
    cluster.end()
    digest = cluster.saved().environment
    assert digest is not None
    return digest


def test_the_one_before_is_next_and_the_profiles_own_image_is_last(cluster: Cluster) -> None:
    cluster.agent()
    first = saved(cluster, "first")
    second = saved(cluster, "second")
    assert prepared(cluster).environment == second

    found = prepared(cluster, second)
    assert found.environment == first
    assert found.fallback is not None
    assert "could not be pulled" in found.fallback
    assert "the checkpoint of" in found.fallback

    found = prepared(cluster, second, first)
    assert found.environment is None
    assert found.fallback is not None
    assert "the base" in found.fallback

    # neither was started in the end: the next start tries again what was wanted
    found = prepared(cluster)
    assert (found.environment, found.fallback) == (second, None)


def test_what_started_in_its_place_is_where_the_next_start_goes_on(cluster: Cluster) -> None:
    cluster.agent()
    first = saved(cluster, "first")
    second = saved(cluster, "second")
    found = prepared(cluster, second)
    container = f"ada---{found.start_id}"
    (cluster.root / container).mkdir()
    place = Place(node=NODE, container=container, image=f"registry.example/ada@{first}")
    cluster.send(client.started("ada", "", found.start_id, place), "hub")
    (cluster.root / container / "third").write_text("third")
    cluster.end()
    third = cluster.saved().environment
    assert third not in (first, second)
    assert prepared(cluster).environment == third


def test_a_pod_is_held_with_its_own_token_alone(cluster: Cluster) -> None:
    first = prepared(cluster)
    assert first.hold_token
    other = prepared(cluster, "sha256:" + "0" * 64)
    assert other.hold_token != first.hold_token
    with Connection(cluster.url, other.hold_token) as service:
        # nobody here looks after containers: no pod is known that somebody deletes
        assert service.send(client.hold(other.start_id)).release
        with pytest.raises(UnauthenticatedError):
            service.send(client.hold(first.start_id))
    for token in ("ada", "hub", cluster.token):
        with Connection(cluster.url, token) as service, pytest.raises(UnauthenticatedError):
            service.send(client.hold(other.start_id))


@pytest.mark.parametrize("went_over", [True, False])
def test_a_rebase_that_nobody_went_over_to_is_not_the_one_before(
    cluster: Cluster, went_over: bool
) -> None:
    cluster.agent()
    first = saved(cluster, "first")
    rebase = saved(cluster, "second")
    third = saved(cluster, "third")
    database = Database(url_of(cluster.home))
    with database.write() as session:
        made = "UPDATE checkpoints SET trigger = 'rebase' WHERE digest = :rebase"
        session.execute(text(made), {"rebase": rebase})
        over = "UPDATE checkpoints SET parent = :parent WHERE digest = :third"
        session.execute(text(over), {"parent": rebase if went_over else first, "third": third})
    database.close()

    assert prepared(cluster, third).environment == (rebase if went_over else first)
