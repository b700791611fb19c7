"""What looks like a secret stays its user's, however often the environment is saved again."""

from __future__ import annotations

import pytest
from atoll.checkpoints import client
from atoll.checkpoints.models import Checkpoint, CheckpointStatus
from atoll.kit.errors import ConflictError

from .cluster import Cluster


def saved(cluster: Cluster, name: str) -> Checkpoint:
    """Her server wrote this file and was stopped: the checkpoint."""
    (cluster.start() / name).write_text("machine x login ada password y")
    cluster.end()
    cluster.saved()
    newest = cluster.checkpoints()[0]
    assert newest.status == CheckpointStatus.READY
    return newest


def share(cluster: Cluster, checkpoint: Checkpoint) -> None:
    cluster.send(client.share(checkpoint.id, "user:bob"))


def refused(cluster: Cluster, checkpoint: Checkpoint) -> None:
    with pytest.raises(ConflictError, match="netrc"):
        share(cluster, checkpoint)


def test_what_has_the_layer_of_a_secret_is_not_shared(cluster: Cluster) -> None:
    cluster.agent()
    first = saved(cluster, ".netrc")
    assert first.reason == "secrets"
    refused(cluster, first)
    second = saved(cluster, "notes")
    assert second.reason == "secrets"
    refused(cluster, second)
    refused(cluster, saved(cluster, "more"))
    assert {one.message for one in cluster.checkpoints()} == {first.message}


def test_without_the_file_the_next_save_has_no_layer_of_it_and_may_be_shared(
    cluster: Cluster,
) -> None:
    cluster.agent()
    refused(cluster, saved(cluster, ".netrc"))
    clean = saved(cluster, ".netrc-is-gone")
    assert cluster.files(clean.digest) == {".netrc-is-gone"}
    assert clean.reason is None
    share(cluster, clean)


def test_saving_it_again_with_nothing_changed_is_no_way_around(cluster: Cluster) -> None:
    cluster.agent()
    first = saved(cluster, ".netrc")
    cluster.start()
    again = cluster.final(cluster.save(note="as it was").id)
    assert again.status == CheckpointStatus.READY
    refused(cluster, again)
    cluster.send(client.delete(first.id))  # what is left says so by itself
    refused(cluster, again)
    for _ in range(3):
        again = cluster.final(cluster.save(note="and again").id)
    assert again.message == f"Nothing had changed. {first.message}"


def test_an_automatic_save_does_not_look_for_secrets_that_are_gone(cluster: Cluster) -> None:
    """Of a running server there is one every half hour, and each would make one layer of all."""
    agent = cluster.agent()
    saved(cluster, ".netrc")
    agent.kill()
    agent.wait()
    cluster.start()
    cluster.save()
    assert cluster.work().secrets == [".netrc"]
