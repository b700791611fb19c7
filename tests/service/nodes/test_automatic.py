"""What a running server changed is saved by itself, from time to time, and leaves no heap behind."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from atoll.checkpoints import client, node_client, retention
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import (
    Changes,
    Checkpoint,
    CheckpointEdit,
    CheckpointStatus,
    DirectoryChange,
    ServerStatus,
    Trigger,
)
from atoll.checkpoints.node_models import (
    LookOrder,
    LookResult,
    NotSaved,
    Phase,
    SaveOrder,
    SaveResult,
)
from atoll.kit.errors import UnavailableError

from .cluster import NODE, Cluster, eventually

LONG_S = 3600
SEEN = Changes(directories=[DirectoryChange(path="/srv", files=1, size=4)], files=1, size=4)


@pytest.fixture
def settings() -> dict[str, object]:
    return {"checkpoints": {"save_every_s": 1}, "nodes": {"look_every_s": 0.1, "lease_s": 1}}


def automatic(cluster: Cluster, at_least: int = 1) -> list[Checkpoint]:
    """The automatic checkpoints that are there, once there are so many."""
    return eventually(
        lambda: [one for one in cluster.checkpoints() if one.trigger is Trigger.AUTOMATIC],
        lambda found: len([one for one in found if one.status.final]) >= at_least,
    )


def newer(cluster: Cluster, than: Checkpoint) -> Callable[[], Checkpoint | None]:
    """The ready automatic checkpoint that came after this one."""
    return lambda: next(
        (
            one
            for one in cluster.checkpoints()
            if one.trigger is Trigger.AUTOMATIC
            and one.status is CheckpointStatus.READY
            and one.id > than.id
        ),
        None,
    )


def test_what_changed_is_saved_by_itself_while_the_server_runs(cluster: Cluster) -> None:
    container = cluster.start()
    cluster.start("bo")  # changes nothing
    (container / "notes").write_text("kept")
    cluster.agent()

    [first] = automatic(cluster)

    assert (first.user, first.status, first.note) == ("ada", CheckpointStatus.READY, "")
    assert cluster.files(first.digest) == {"notes"}
    assert cluster.server().status is ServerStatus.RUNNING
    assert cluster.server().environment == first.digest
    (container / "more").write_text("kept too")
    second = eventually(newer(cluster, first), bool)
    assert second is not None
    assert cluster.files(second.digest) == {"notes", "more"}
    eventually(cluster.checkpoints, lambda all_: first.id not in [one.id for one in all_])
    assert {one.user for one in cluster.checkpoints()} == {"ada"}


def test_a_save_written_down_before_the_database_went_away_is_told_again_and_the_older_one_goes(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = cluster.start()
    (container / "notes").write_text("kept")
    cluster.agent()
    [first] = automatic(cluster)
    applied = retention.apply
    away = [UnavailableError("The platform's database does not answer.")]

    def apply(ground: Ground, server: str) -> None:
        if away and len(cluster.checkpoints()) > 1:
            (cluster.root / "hold-looking").touch()  # no later save does it instead
            raise away.pop()
        applied(ground, server)

    monkeypatch.setattr(retention, "apply", apply)
    (container / "more").write_text("kept too")

    assert eventually(newer(cluster, first), bool)
    eventually(cluster.checkpoints, lambda all_: first.id not in [one.id for one in all_])
    assert away == []


def test_the_save_at_the_stop_takes_the_place_of_the_automatic_one(cluster: Cluster) -> None:
    container = cluster.start()
    (container / "notes").write_text("kept")
    cluster.agent()
    automatic(cluster)

    (container / "more").write_text("kept too")
    cluster.end()
    saved = cluster.saved()

    [checkpoint] = eventually(cluster.checkpoints, lambda all_: len(all_) == 1)
    assert (checkpoint.trigger, checkpoint.digest) == (Trigger.STOP, saved.environment)
    assert cluster.files(checkpoint.digest) == {"notes", "more"}


def test_what_people_saved_pinned_named_or_shared_is_no_automatic_ones_to_remove(
    cluster: Cluster,
) -> None:
    container = cluster.start()
    (container / "notes").write_text("kept")
    by_hand = cluster.save()
    cluster.agent()
    last = cluster.final(by_hand.id)
    theirs = {by_hand.id}
    for take in (
        lambda id_: client.edit(id_, CheckpointEdit(pinned=True)),
        lambda id_: client.edit(id_, CheckpointEdit(note="before the upgrade")),
        lambda id_: client.share(id_, "user:bo"),
    ):
        found = eventually(newer(cluster, last), bool)
        assert found is not None
        last = cluster.send(take(found.id))
        assert last.trigger is Trigger.USER
        theirs.add(last.id)

    found = eventually(newer(cluster, last), bool)
    assert found is not None
    eventually(newer(cluster, found), bool)
    assert theirs <= {one.id for one in cluster.checkpoints()}


def test_the_profile_says_how_often_and_whether_at_all(cluster: Cluster) -> None:
    never, often = cluster.start(save_every_s=0), cluster.start("bo", save_every_s=1)
    seldom = cluster.start("cy", save_every_s=LONG_S)
    for container in (never, often, seldom):
        (container / "notes").write_text("kept")
    cluster.agent()
    eventually(lambda: [cluster.server(user).unsaved for user in ("ada", "cy")], all)

    first = automatic(cluster)[0]
    eventually(newer(cluster, first), bool)

    assert {one.user for one in cluster.checkpoints()} == {"bo"}


def test_one_that_fails_says_why_holds_up_nothing_and_is_tried_at_the_next_time(
    cluster: Cluster,
) -> None:
    container = cluster.start()
    (container / "notes").write_text("kept")

    tried = []
    for _ in range(2):
        order = ordered(cluster)
        tried.append(order.checkpoint)
        told = NotSaved(outcome="failed", code="runtime_unavailable", message="It is away.")
        result = SaveResult(lease=order.lease, result=told)
        cluster.send(node_client.result(NODE, order.checkpoint, result), cluster.token)
        failed = cluster.checkpoint(order.checkpoint)
        assert (failed.status, failed.reason) == (CheckpointStatus.FAILED, "runtime_unavailable")
        assert cluster.server().message is None
    kept = {one.id for one in cluster.checkpoints()}  # the next one may be among them
    assert kept.intersection(tried) == {failed.id}, "the first one is not kept"
    cluster.agent()
    assert eventually(newer(cluster, failed), bool) is not None
    eventually(cluster.checkpoints, lambda all_: failed.id not in [one.id for one in all_])


def test_one_that_nobody_has_begun_when_the_server_ends_is_dropped(cluster: Cluster) -> None:
    container = cluster.start()
    (container / "notes").write_text("kept")
    waiting(cluster)

    cluster.end()
    cluster.agent()
    saved = cluster.saved()

    [checkpoint] = cluster.checkpoints()
    assert (checkpoint.trigger, checkpoint.digest) == (Trigger.STOP, saved.environment)
    assert cluster.began() == [container.name]


def test_one_whose_agent_fell_silent_does_not_come_before_the_stop(cluster: Cluster) -> None:
    container = cluster.start()
    (container / "notes").write_text("kept")
    order = ordered(cluster)
    cluster.end()
    cluster.agent()

    saved = cluster.saved()

    [checkpoint] = cluster.checkpoints()
    assert (checkpoint.trigger, checkpoint.digest) == (Trigger.STOP, saved.environment)
    assert checkpoint.id != order.checkpoint
    assert cluster.began() == [container.name]


def test_who_saves_by_hand_takes_over_the_one_that_waits(cluster: Cluster) -> None:
    cluster.start()
    found = waiting(cluster)

    by_hand = cluster.save()

    assert (by_hand.id, by_hand.trigger) == (found.id, Trigger.USER)


def test_one_that_finds_nothing_to_save_leaves_nothing(cluster: Cluster) -> None:
    cluster.start()  # its agent says that something changed, and it has not
    waiting(cluster)
    before = cluster.server().environment

    cluster.agent()

    eventually(cluster.checkpoints, lambda all_: all_ == [])
    assert cluster.server().environment == before


class TestAQuota:
    """One save of this container fits into what its user may store, and not a second one beside it."""

    @pytest.fixture
    def settings(self) -> dict[str, object]:
        checkpoints = {"save_every_s": 1, "most_user_bytes": 1_500_000}
        return {"checkpoints": checkpoints, "nodes": {"look_every_s": 0.1}}

    def test_is_not_used_up_by_what_nobody_asked_for(self, cluster: Cluster) -> None:
        container = cluster.start()
        (container / "data").write_bytes(os.urandom(1_000_000))
        cluster.agent()
        first = automatic(cluster)[0]
        assert first.status is CheckpointStatus.READY
        assert eventually(newer(cluster, first), bool) is not None

        cluster.end()

        assert cluster.files(cluster.saved().environment) == {"data"}


@pytest.mark.parametrize("phase", list(Phase))
def test_an_agent_killed_in_any_phase_leaves_one(cluster: Cluster, phase: Phase) -> None:
    container = cluster.start()
    (container / "notes").write_text("kept")
    (cluster.root / f"die-{phase}").touch()
    assert cluster.agent().wait(30) == -9

    cluster.agent()

    [found] = automatic(cluster)
    assert cluster.files(found.digest) == {"notes"}


def ordered(cluster: Cluster) -> SaveOrder:
    """As an agent that sees changes wherever it looks: the next save, which there must be."""

    def work() -> bytes:
        content = cluster.send(node_client.work(NODE, 0), cluster.token)
        if not content or b'"look"' not in content[:20]:
            return content
        order = LookOrder.model_validate_json(content)
        told = LookResult(server=order.server, environment=order.environment, changes=SEEN)
        cluster.send(node_client.looked(NODE, told), cluster.token)
        return b""

    return SaveOrder.model_validate_json(eventually(work, bool))


def waiting(cluster: Cluster) -> Checkpoint:
    """The automatic checkpoint that nobody has begun."""
    look = eventually(lambda: cluster.send(node_client.work(NODE, 0), cluster.token), bool)
    order = LookOrder.model_validate_json(look)
    told = LookResult(server=order.server, environment=order.environment, changes=SEEN)
    cluster.send(node_client.looked(NODE, told), cluster.token)
    [found] = eventually(cluster.checkpoints, bool)
    assert (found.trigger, found.status) == (Trigger.AUTOMATIC, CheckpointStatus.REQUESTED)
    return found
