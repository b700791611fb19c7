"""What a running container has that is not saved is told while it runs, by its node's agent."""

from __future__ import annotations

import pytest
from atoll.checkpoints import node_client
from atoll.checkpoints.models import Changes, Digest, DirectoryChange, ServerStatus
from atoll.checkpoints.node_models import LookOrder, LookResult
from atoll.kit.errors import ForbiddenError, NotFoundError

from .cluster import NODE, Cluster, eventually

SEEN = Changes(directories=[DirectoryChange(path="/srv", files=1, size=4)], files=1, size=4)


@pytest.fixture
def settings() -> dict[str, object]:
    return {"nodes": {"look_every_s": 0.1}}


def look(cluster: Cluster, node: str = NODE) -> LookOrder:
    """As an agent: the next look, which there must be soon."""
    content = eventually(
        lambda: cluster.send(node_client.work(node, 0), cluster.token), lambda found: found
    )
    return LookOrder.model_validate_json(content)


def test_changes_show_while_a_server_runs_and_are_gone_once_they_are_saved(
    cluster: Cluster,
) -> None:
    container = cluster.start()
    cluster.agent()
    (container / "notes").write_text("kept")

    unsaved = eventually(lambda: cluster.server().unsaved, lambda found: found is not None)

    assert unsaved is not None
    assert (unsaved.count, unsaved.files, unsaved.size) == (1, 1, 4)
    cluster.end()
    assert cluster.saved().unsaved is None


def test_servers_of_a_node_are_looked_at_in_turn_and_ended_ones_are_not(cluster: Cluster) -> None:
    for name in ("", "one", "two"):
        cluster.start(name=name)
    cluster.start("bo", node="node-2")
    cluster.agent()

    def looked() -> set[str]:
        path = cluster.root / "looks"
        return set(path.read_text().splitlines()) if path.exists() else set()

    eventually(looked, lambda found: len(found) == 3)
    assert all(one.startswith("ada-") for one in looked())


def test_a_save_goes_before_a_look(cluster: Cluster) -> None:
    cluster.start()
    cluster.start(name="one")
    look(cluster)
    cluster.save(name="one")

    assert cluster.work().kind == "save"


def test_what_was_seen_too_late_is_passed_over(cluster: Cluster) -> None:
    cluster.start()
    order = look(cluster)
    result = LookResult(server=order.server, environment=order.environment, changes=SEEN)
    other = "sha256:" + "0" * 64

    cluster.send(
        node_client.looked(NODE, result.model_copy(update={"environment": Digest(other)})),
        cluster.token,
    )
    assert cluster.server().unsaved is None
    cluster.send(node_client.looked(NODE, result), cluster.token)
    assert cluster.server().unsaved == SEEN
    cluster.end()
    eventually(cluster.server, lambda found: found.status == ServerStatus.SAVING)
    before = cluster.server().version
    cluster.send(node_client.looked(NODE, result), cluster.token)
    assert cluster.server().version == before


def test_an_agent_tells_of_its_own_node_alone_and_others_of_none(cluster: Cluster) -> None:
    cluster.start("bo", node="node-2")
    cluster.start()
    order = look(cluster)
    result = LookResult(server=order.server, environment=order.environment, changes=SEEN)

    with pytest.raises(NotFoundError):
        cluster.send(node_client.looked("node-2", result), cluster.token)
    for who in ("ada", "admin", "hub"):
        with pytest.raises(ForbiddenError):
            cluster.send(node_client.looked(NODE, result), who)
    nobody = result.model_copy(update={"server": "s-../../x"})
    cluster.send(node_client.looked(NODE, nobody), cluster.token)
    assert cluster.server().unsaved is None
    assert cluster.server("bo").unsaved is None


def test_a_container_that_cannot_be_looked_at_is_no_trouble(cluster: Cluster) -> None:
    container = cluster.start()
    container.rmdir()
    there = cluster.start(name="there")
    (there / "x").write_text("x")
    cluster.agent()

    eventually(lambda: cluster.server(name="there").unsaved, lambda found: found is not None)
    assert cluster.server().unsaved is None
