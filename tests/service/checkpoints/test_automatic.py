"""The environment of a running server on one machine is saved by itself where it has changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from atoll.checkpoints import store
from atoll.checkpoints.automatic import Automatic
from atoll.checkpoints.models import Checkpoint, CheckpointStatus, Trigger
from atoll.checkpoints.service import Checkpoints
from atoll.checkpoints.settings import CheckpointSettings

from .conftest import FAST
from .platform import Atoll, eventually, wheel


@pytest.fixture
def settings() -> CheckpointSettings:
    return FAST.model_copy(update={"save_every_s": 1})


def automatic(atoll: Atoll, but: Checkpoint | None = None) -> Checkpoint:
    """The ready automatic checkpoint, which is another one than `but`."""

    def look() -> list[Checkpoint]:
        return [
            one
            for one in atoll.checkpoints()
            if one.trigger is Trigger.AUTOMATIC and one.status is CheckpointStatus.READY
        ]

    before = but.id if but is not None else None
    [found] = eventually(look, lambda all_: len(all_) == 1 and all_[0].id != before)
    return found


def test_what_was_installed_is_saved_by_itself_once_and_the_newest_takes_the_olds_place(
    atoll: Atoll, tmp_path: Path
) -> None:
    running = atoll.start()
    running.install(wheel(tmp_path))
    first = automatic(atoll)
    assert first.current
    assert first.changes is not None
    assert [one.name for one in first.changes.packages] == ["seashell"]
    assert atoll.server().unsaved is None

    running.install(wheel(tmp_path, "barnacle"))
    second = automatic(atoll, but=first)

    assert second.digest != first.digest
    assert [one.id for one in atoll.checkpoints()] == [second.id], "the first one is gone"
    running.end()


def test_a_stop_at_which_nothing_has_changed_since_keeps_it_as_its_own(
    atoll: Atoll, tmp_path: Path
) -> None:
    running = atoll.start()
    running.install(wheel(tmp_path))
    found = automatic(atoll)

    saved = atoll.stop(running)

    [kept] = atoll.checkpoints()
    assert (kept.id, kept.trigger, kept.digest) == (found.id, Trigger.STOP, saved.environment)


def test_a_save_by_hand_at_which_nothing_has_changed_since_makes_it_the_users(
    atoll: Atoll, tmp_path: Path
) -> None:
    running = atoll.start()
    running.install(wheel(tmp_path))
    found = automatic(atoll)

    by_hand = atoll.save()

    assert (by_hand.id, by_hand.trigger) == (found.id, Trigger.USER)
    running.install(wheel(tmp_path, "barnacle"))
    automatic(atoll)
    assert by_hand.id in [one.id for one in atoll.checkpoints()]
    running.end()


def test_of_several_services_one_asks(
    atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    ground = checkpoints.ground
    running = atoll.start()
    ground.settings = FAST.model_copy(update={"save_every_s": 0})  # not this one
    running.install(wheel(tmp_path))
    eventually(lambda: atoll.server().unsaved, bool)
    with ground.database.read() as session:
        row = store.find_server(session, "ada", "")
    assert row is not None
    others = [Automatic(ground) for _ in range(8)]
    ground.settings = FAST.model_copy(update={"save_every_s": 1})

    def ask(one: Automatic) -> None:
        while one.ask(row):
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, others))

    with ground.database.read() as session:
        assert len(store.of_server(session, row.id)) == 1
    automatic(atoll)
    running.end()
