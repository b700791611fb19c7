"""A server in a container starts from what somebody shares, and is saved as its own."""

from __future__ import annotations

from atoll.checkpoints import client

from .cluster import Cluster


def test_a_container_from_anothers_image_is_saved_over_the_same_base(cluster: Cluster) -> None:
    (cluster.start() / "notes").write_text("ada's")
    cluster.end()
    cluster.agent()
    saved = cluster.saved()
    [adas] = cluster.checkpoints()
    cluster.send(client.share(adas.id, "user:bob"))

    (cluster.start("bob", environment=str(adas.digest)) / "more").write_text("bob's")
    assert cluster.server("bob").environment == adas.digest
    assert cluster.server("bob").saved_at is None, "it is not bob who saved that"
    cluster.end("bob")
    after = cluster.saved("bob")

    bobs = cluster.send(client.checkpoints(), "bob").items
    assert [(one.digest, one.parent, one.base) for one in bobs] == [
        (after.environment, saved.environment, cluster.base)
    ]
    assert bobs[0].size == bobs[0].layer_size + adas.size
    assert cluster.files(after.environment) == {"notes", "more"}
    assert cluster.send(client.checkpoint(adas.id)).current, "ada's is as it was"
