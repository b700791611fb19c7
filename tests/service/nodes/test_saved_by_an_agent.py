"""A server in a container is saved by its node's agent, and goes on where it stopped."""

from __future__ import annotations

from atoll.checkpoints.models import CheckpointStatus, ServerStatus, Trigger

from .cluster import Cluster


def test_a_stop_is_saved_and_the_next_start_goes_on_from_it(cluster: Cluster) -> None:
    container = cluster.start()
    (container / "notes").write_text("kept")
    cluster.end()
    cluster.agent()

    saved = cluster.saved()

    [checkpoint] = cluster.checkpoints()
    assert checkpoint.status == CheckpointStatus.READY
    assert checkpoint.trigger == Trigger.STOP
    assert checkpoint.digest == saved.environment
    assert checkpoint.parent == checkpoint.base == cluster.base
    assert checkpoint.layer_size == checkpoint.size > 0
    assert checkpoint.current
    assert cluster.files(checkpoint.digest) == {"notes"}
    (cluster.start() / "more").write_text("more")
    cluster.end()
    again = cluster.saved()
    newest, oldest = cluster.checkpoints()
    assert newest.parent == oldest.digest
    assert newest.base == cluster.base
    assert newest.size == newest.layer_size + oldest.layer_size
    assert cluster.files(again.environment) == {"notes", "more"}


def test_a_running_server_is_saved_live(cluster: Cluster) -> None:
    container = cluster.start()
    (container / "notes").write_text("kept")
    asked = cluster.save()
    cluster.agent()

    saved = cluster.final(asked.id)

    assert saved.status == CheckpointStatus.READY
    assert cluster.server().status == ServerStatus.RUNNING
    assert cluster.files(saved.digest) == {"notes"}


def test_a_stop_without_changes_leaves_no_line_in_the_history(cluster: Cluster) -> None:
    cluster.start()
    cluster.end()
    cluster.agent()

    assert cluster.saved().environment is None
    assert cluster.checkpoints() == []
