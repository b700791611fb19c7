"""Saves that are cancelled, changes that are discarded, and quotas."""

from __future__ import annotations

import os

import pytest
from atoll.checkpoints import client
from atoll.checkpoints.models import (
    CheckpointRequest,
    CheckpointStatus,
    ServerStatus,
    StartRequest,
    Trigger,
)
from atoll.checkpoints.service import Checkpoints
from atoll.checkpoints.settings import CheckpointSettings
from atoll.kit.errors import ConflictError, NotFoundError

from .conftest import FAST
from .platform import Atoll, eventually

MEGABYTE = 1 << 20


def held(checkpoints: Checkpoints, atoll: Atoll, user: str = "ada"):  # type: ignore[no-untyped-def]
    """The lock of the user's environment directory: while it is held nothing of it is saved."""
    from atoll.checkpoints import store

    with checkpoints.ground.database.read() as session:
        row = store.find_server(session, user, "")
    assert row is not None
    return checkpoints.ground.directory(row).lock()


def test_a_save_that_was_asked_for_is_cancelled(atoll: Atoll, checkpoints: Checkpoints) -> None:
    server = atoll.start()
    (server.env / "big").write_bytes(os.urandom(MEGABYTE))
    with held(checkpoints, atoll) as mine:
        assert mine
        asked = atoll.send(client.save(CheckpointRequest(server="-")))
        cancelled = atoll.send(client.cancel(asked.id))
        assert cancelled.message == "Being cancelled."

    final = atoll.final(asked)

    assert (final.status, final.reason) == (CheckpointStatus.FAILED, "cancelled")
    assert atoll.send(client.cancel(asked.id)).id == asked.id
    assert atoll.save().status == CheckpointStatus.READY


def test_a_finished_save_and_anothers_are_not_cancelled(atoll: Atoll) -> None:
    server = atoll.start()
    (server.env / "notes").write_text("kept")
    saved = atoll.save()

    with pytest.raises(ConflictError):
        atoll.send(client.cancel(saved.id))
    with pytest.raises(NotFoundError):
        atoll.send(client.cancel(saved.id), "bob")


def test_what_is_being_saved_is_not_discarded_under_its_hands(
    atoll: Atoll, checkpoints: Checkpoints
) -> None:
    server = atoll.start()
    (server.env / "notes").write_text("kept")
    atoll.stop(server)
    again = atoll.start()
    (again.env / "more").write_text("lost")
    again.end()
    with held(checkpoints, atoll) as mine:
        assert mine
        atoll.send(client.ended("ada", ""), "hub")
        with pytest.raises(ConflictError, match="at this moment"):
            atoll.send(client.discard("ada", ""))
    atoll.saved()
    stop = atoll.checkpoints()[0]
    assert stop.trigger == Trigger.STOP
    with pytest.raises(ConflictError):
        atoll.send(client.cancel(stop.id))


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> CheckpointSettings:
    quota = getattr(request, "param", 0)
    return FAST.model_copy(update={"most_user_bytes": quota})


@pytest.mark.parametrize("settings", [2 * MEGABYTE], indirect=True)
class TestAQuota:
    """Two megabytes for each user."""

    def test_a_save_that_exceeds_it_is_refused_with_the_numbers_and_what_to_do(
        self, atoll: Atoll
    ) -> None:
        server = atoll.start()
        (server.env / "first").write_bytes(os.urandom(MEGABYTE))
        first = atoll.save()
        (server.env / "second").write_bytes(os.urandom(MEGABYTE + 1))

        refused = atoll.save()

        assert first.status == CheckpointStatus.READY
        assert (refused.status, refused.reason) == (CheckpointStatus.REFUSED, "quota_exceeded")
        assert "1.0 MB to save" in str(refused.message)
        assert "are left" in str(refused.message)
        assert "Delete or unpin" in str(refused.message)
        assert refused.progress.done == 0
        (server.env / "second").unlink()
        (server.env / "small").write_text("x")
        assert atoll.save().status == CheckpointStatus.READY

    def test_what_a_stop_cannot_save_waits_until_there_is_room_or_it_is_discarded(
        self, atoll: Atoll
    ) -> None:
        server = atoll.start()
        (server.env / "notes").write_text("kept")
        kept = atoll.save()
        (server.env / "big").write_bytes(os.urandom(3 * MEGABYTE))
        server.end()
        with pytest.raises(ConflictError, match="runs"):
            atoll.send(client.discard("ada", ""))
        atoll.send(client.ended("ada", ""), "hub")
        waiting = eventually(atoll.server, lambda found: found.reason == "quota_exceeded")
        assert waiting.status in (ServerStatus.SAVING, ServerStatus.UNSAVED)

        with pytest.raises(NotFoundError):
            atoll.send(client.discard("ada", ""), "bob")
        discarded = eventually(lambda: discarded_or_busy(atoll), lambda found: found is not None)

        assert discarded.status == ServerStatus.SAVED
        assert discarded.reason == "discarded"
        stops = [one for one in atoll.checkpoints() if one.trigger == Trigger.STOP]
        assert {one.reason for one in stops} == {"discarded"}
        again = atoll.start()
        assert again.preparation.environment == kept.digest
        assert (again.env / "notes").read_text() == "kept"
        assert not (again.env / "big").exists()
        assert not list(again.env.parent.glob(".env*"))

    def test_a_start_that_waits_for_the_save_keeps_it_from_being_discarded(
        self, atoll: Atoll
    ) -> None:
        server = atoll.start()
        (server.env / "big").write_bytes(os.urandom(3 * MEGABYTE))
        server.end()
        atoll.send(client.ended("ada", ""), "hub")
        eventually(atoll.server, lambda found: found.reason == "quota_exceeded")
        atoll.send(client.start("ada", "", StartRequest(environment="base")), "hub")

        with pytest.raises(ConflictError, match="start"):
            atoll.send(client.discard("ada", ""))

    def test_another_user_has_a_quota_of_their_own(self, atoll: Atoll) -> None:
        for user in ("ada", "bob"):
            server = atoll.start(user=user)
            (server.env / "big").write_bytes(os.urandom(MEGABYTE + MEGABYTE // 2))
            assert atoll.save(user=user).status == CheckpointStatus.READY


def discarded_or_busy(atoll: Atoll):  # type: ignore[no-untyped-def]  # a Server
    try:
        return atoll.send(client.discard("ada", ""))
    except ConflictError:
        return None


def test_discarding_what_is_saved_changes_nothing(atoll: Atoll) -> None:
    server = atoll.start()
    (server.env / "notes").write_text("kept")
    saved = atoll.stop(server)

    assert atoll.send(client.discard("ada", "")).environment == saved.environment
    assert (atoll.start().env / "notes").exists()
