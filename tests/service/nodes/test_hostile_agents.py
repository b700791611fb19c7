"""Who may ask for work and say how it ended, and what nobody believes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from urllib.parse import quote

import httpx
import pytest
from atoll import oci
from atoll.checkpoints import node_client
from atoll.checkpoints.models import CheckpointStatus
from atoll.checkpoints.node_models import (
    ImageSaved,
    NotInIt,
    NotSaved,
    Phase,
    ProgressReport,
    SaveOrder,
    SaveResult,
)
from atoll.checkpoints.settings import NodeSettings
from atoll.kit.errors import (
    AtollError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnauthenticatedError,
)
from atoll.kit.home import Home

from ..whole import whole_service
from .cluster import NODE, Cluster, eventually
from .containers import EPOCH, create

_users = count()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all tests: each has a user of its own, and what one leaves holds up no other."""
    home = Home(tmp_path_factory.mktemp("service") / "home")
    nodes = NodeSettings(name=NODE, per_node=64, at_once=1000)
    with whole_service(home, nodes=nodes) as url:
        found = Cluster(home, f"{url}/api/v1/")
        yield found
        found.close()


def ended(cluster: Cluster) -> SaveOrder:
    """A new user's server that ended, and the order to save it, leased to the caller."""
    container = cluster.start(user := f"user{next(_users)}")
    cluster.end(user)
    return offered(cluster, container.name)


def offered(cluster: Cluster, container: str) -> SaveOrder:
    """The order to save the container; others that are offered before are left lying."""
    found = eventually(
        lambda: _work(cluster),
        lambda order: order is not None and order.container == container,
    )
    assert found is not None
    return found


def _work(cluster: Cluster) -> SaveOrder | None:
    content = cluster.send(node_client.work(NODE, 0), cluster.token)
    return SaveOrder.model_validate_json(content) if content else None


def image_on(cluster: Cluster, parent: str) -> str:
    """An image of one more layer, unlike all others."""
    name = f"made{next(_users)}"
    folder = cluster.root / f"of-{name}"
    folder.mkdir()
    (folder / name).write_text(name)
    layer = oci.write_layer(oci.DirectorySource(folder), cluster.store)
    return oci.append_layer(cluster.store, parent, layer, name=name, created=EPOCH).digest


def tell(cluster: Cluster, order: SaveOrder, digest: str, *, lease: str | None = None) -> None:
    told = ImageSaved(outcome="saved", digest=digest, added=1)  # type: ignore[arg-type]
    result = SaveResult(lease=lease or order.lease, result=told)
    cluster.send(node_client.result(NODE, order.checkpoint, result), cluster.token)


@pytest.mark.parametrize("who", ["ada", "ada-server", "admin", "hub"])
def test_nobody_but_an_agent_gets_an_agents_work(cluster: Cluster, who: str) -> None:
    order = ended(cluster)

    for call in (
        node_client.work(NODE, 0),
        node_client.progress(
            NODE, order.checkpoint, ProgressReport(lease=order.lease, phase=Phase.COPYING)
        ),
        node_client.result(
            NODE,
            order.checkpoint,
            SaveResult(
                lease=order.lease,
                result=NotSaved(outcome="failed", code="x", message="x", retry=False),
            ),
        ),
    ):
        with pytest.raises(ForbiddenError):
            cluster.send(call, who)  # type: ignore[arg-type]  # calls of several types
    assert cluster.checkpoint(order.checkpoint).status == CheckpointStatus.SCANNING


def test_a_token_of_nobody_gets_nothing(cluster: Cluster) -> None:
    with pytest.raises(UnauthenticatedError):
        cluster.send(node_client.work(NODE, 0), "nobody")


def test_an_agent_gets_its_own_nodes_work_only(cluster: Cluster) -> None:
    user = f"user{next(_users)}"
    cluster.start(user, node="node-2")
    cluster.end(user)

    with pytest.raises(NotFoundError):
        cluster.send(node_client.work("node-2", 0), cluster.token)
    found = _work(cluster)
    assert found is None or not found.container.startswith(user)


def test_an_agent_does_not_tell_of_another_nodes_save(cluster: Cluster) -> None:
    cluster.start(node="node-2")  # ada's: she may ask for a save
    asked = cluster.save()
    report = ProgressReport(lease="le-x", phase=Phase.COPYING)

    with pytest.raises(NotFoundError):
        cluster.send(node_client.progress(NODE, asked.id, report), cluster.token)


@pytest.mark.parametrize(
    "node", ["../node-1", "..", "node-1/../node-2", "NODE-1", "%2e%2e", "é", "a" * 400]
)
def test_no_name_leads_to_another_nodes_work(cluster: Cluster, node: str) -> None:
    ended(cluster)
    for path in (f"nodes/{quote(node, safe='')}/work", f"nodes/{node}/work"):
        answer = httpx.get(cluster.url + path, headers={"Authorization": f"token {cluster.token}"})
        assert answer.status_code in (400, 404), answer.text


@pytest.mark.parametrize(
    ("node", "container", "image"),
    [
        ("../x", "c", "x@sha256:" + "0" * 64),
        ("node-1", "../../etc", "x@sha256:" + "0" * 64),
        ("node-1", "c", "x:latest"),
        ("node-1", "c", "x@sha256:short"),
        ("Node", "c", "x@sha256:" + "0" * 64),
        ("node-1", "", "x@sha256:" + "0" * 64),
    ],
)
def test_a_place_that_is_none_is_refused(
    cluster: Cluster, node: str, container: str, image: str
) -> None:
    body = {"start_id": "st-0", "place": {"node": node, "container": container, "image": image}}
    answer = httpx.post(
        cluster.url + "servers/ada/-/started", json=body, headers={"Authorization": "token hub"}
    )
    assert answer.status_code == 422


def test_a_result_under_an_old_lease_is_refused_unless_it_is_what_is_written_down(
    cluster: Cluster,
) -> None:
    order = ended(cluster)
    digest = image_on(cluster, cluster.base)

    with pytest.raises(ConflictError):
        tell(cluster, order, digest, lease="le-0192f0c1a2b3c4d5e6f7a8")
    tell(cluster, order, digest)
    tell(cluster, order, digest, lease="le-0192f0c1a2b3c4d5e6f7a8")
    with pytest.raises(ConflictError):
        tell(cluster, order, image_on(cluster, cluster.base))

    assert cluster.checkpoint(order.checkpoint).digest == digest


@pytest.mark.parametrize("digest", ["latest", "sha256:x", "sha256:" + "0" * 63, "", "../x", 7])
def test_a_digest_that_is_none_is_refused(cluster: Cluster, digest: object) -> None:
    order = ended(cluster)
    body = {"lease": order.lease, "result": {"outcome": "saved", "digest": digest, "added": 1}}
    answer = httpx.post(
        f"{cluster.url}nodes/{NODE}/saves/{order.checkpoint}/result",
        json=body,
        headers={"Authorization": f"token {cluster.token}"},
    )
    assert answer.status_code == 422
    assert cluster.checkpoint(order.checkpoint).status == CheckpointStatus.SCANNING


def test_an_image_that_is_not_there_is_not_believed_and_the_save_is_done_again(
    cluster: Cluster,
) -> None:
    order = ended(cluster)

    with pytest.raises(InvalidError):
        tell(cluster, order, "sha256:" + "0" * 64)

    found = cluster.checkpoint(order.checkpoint)
    assert (found.status, found.reason) == (CheckpointStatus.REQUESTED, "image_wrong")
    tell(cluster, offered(cluster, order.container), image_on(cluster, cluster.base))
    assert cluster.final(order.checkpoint).status == CheckpointStatus.READY


def test_an_image_on_another_base_is_not_believed(cluster: Cluster) -> None:
    order = ended(cluster)
    other = create(cluster.store, "base-other")
    foreign = image_on(cluster, image_on(cluster, other))
    assert order.base == cluster.base
    layers = [one.digest for one in oci.load_image(cluster.store, foreign).manifest.layers]
    based = [one.digest for one in oci.load_image(cluster.store, cluster.base).manifest.layers]
    if layers[: len(based)] == based:  # both bases are one empty layer: nothing tells them apart
        foreign = only_last_layer(cluster, foreign)
    with pytest.raises(InvalidError):
        tell(cluster, order, foreign)


def only_last_layer(cluster: Cluster, digest: str) -> str:
    """The image without what it stands on."""
    from atoll.oci.image import base_config, build

    image = oci.load_image(cluster.store, digest)
    config = base_config(created=EPOCH, labels={})
    config = config.appended(image.config.diff_ids[-1], created=EPOCH, comment="odd")
    odd = build(config, [image.manifest.layers[-1]], {})
    return cluster.store.publish(odd, "odd").digest


@pytest.mark.parametrize(("length", "status"), [(3_000_000, 422), (10_000_000, 413)])
def test_a_long_result_is_read_and_ten_megabytes_are_not(
    cluster: Cluster, length: int, status: int
) -> None:
    order = ended(cluster)
    answer = httpx.post(
        f"{cluster.url}nodes/{NODE}/saves/{order.checkpoint}/result",
        content=b'{"lease": "' + b"x" * length + b'"}',
        headers={"Authorization": f"token {cluster.token}"},
    )
    assert answer.status_code == status


@pytest.mark.parametrize(
    "told",
    [
        {"left_out": [{"path": "x", "reason": "y"}] * 1001},
        {"packages": {str(number): "1" for number in range(20_001)}},
        {"torn": ["x" * 4097]},
        {"size": -1},
        {"frozen_ms": "NaN"},
        {"added": 128},
    ],
)
def test_what_is_too_long_or_makes_no_sense_is_refused(
    cluster: Cluster, told: dict[str, object]
) -> None:
    order = ended(cluster)
    saved = {"outcome": "saved", "digest": cluster.base, "added": 1, **told}
    answer = httpx.post(
        f"{cluster.url}nodes/{NODE}/saves/{order.checkpoint}/result",
        json={"lease": order.lease, "result": saved},
        headers={"Authorization": f"token {cluster.token}"},
    )
    assert answer.status_code == 422
    assert len(answer.content) < 10_000


def test_names_with_controls_in_them_reach_nobodys_terminal(cluster: Cluster) -> None:
    order = ended(cluster)
    digest = image_on(cluster, cluster.base)
    told = ImageSaved(
        outcome="saved",
        digest=digest,  # type: ignore[arg-type]
        added=1,
        left_out=[NotInIt(path="a\x1b[2Jb\n", reason="x\x00y")],
        secrets=["\x1b]0;x\x07"],
    )
    result = SaveResult(lease=order.lease, result=told)
    cluster.send(node_client.result(NODE, order.checkpoint, result), cluster.token)

    found = cluster.final(order.checkpoint)

    assert "\x1b" not in found.model_dump_json() + str(found.message)
    assert all(text.isprintable() for one in found.left_out for text in (one.path, one.reason))


def test_an_id_of_nothing_is_not_found(cluster: Cluster) -> None:
    for id_ in ("x", "k-" + "0" * 22, "../work", "'; DROP TABLE servers"):
        with pytest.raises((NotFoundError, AtollError)):
            report = ProgressReport(lease="x", phase=Phase.COPYING)
            cluster.send(node_client.progress(NODE, id_, report), cluster.token)
