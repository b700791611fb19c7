"""A server that stops is saved; the next start goes on where it stopped."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from atoll.checkpoints import client
from atoll.checkpoints.models import ServerStatus, ServerTarget, StartRequest, Trigger
from atoll.kit.errors import ConflictError

from .platform import Atoll, eventually, wheel


@pytest.mark.parametrize(
    "installer", [("pip", "install", "--no-index"), ("uv", "pip", "install", "--offline")]
)
def test_an_installed_package_survives_a_stop_and_a_fresh_start_does_not_have_it(
    atoll: Atoll, tmp_path: Path, installer: tuple[str, ...]
) -> None:
    server = atoll.start()
    server.run(*installer, str(wheel(tmp_path)))
    assert server.run("seashell").stdout.split()[0] == "1.0"
    unsaved = eventually(  # a look in the middle of an installation sees files of no package yet
        lambda: atoll.server().unsaved, lambda found: found is not None and not found.directories
    )
    assert unsaved is not None
    assert [(p.name, p.before, p.after) for p in unsaved.packages] == [("seashell", None, "1.0")]

    saved = atoll.stop(server)

    assert saved.unsaved is None
    assert saved.saved_at is not None
    [checkpoint] = atoll.checkpoints()
    assert checkpoint.digest == saved.environment
    assert checkpoint.current
    assert checkpoint.trigger == Trigger.STOP
    assert checkpoint.changes is not None
    assert [p.name for p in checkpoint.changes.packages] == ["seashell"]
    assert checkpoint.changes.directories == []
    again = atoll.start()
    assert again.preparation.environment == checkpoint.digest
    assert again.run("seashell").stdout.split() == ["1.0", str(again.env)]
    assert again.run("python", "-c", "import seashell, pydantic").returncode == 0
    atoll.stop(again)
    fresh = atoll.start(environment="base")
    assert fresh.run("python", "-c", "import seashell", check=False).returncode == 1
    atoll.stop(fresh)
    back = atoll.start(environment=str(checkpoint.digest))
    assert back.run("seashell").stdout.split() == ["1.0", str(back.env)]


def test_a_stop_without_changes_makes_no_checkpoint(atoll: Atoll) -> None:
    saved = atoll.stop(atoll.start())

    assert saved.status == ServerStatus.SAVED
    assert atoll.checkpoints() == []


def test_two_stops_at_once_make_one_checkpoint(atoll: Atoll, tmp_path: Path) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    server.end()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: atoll.send(client.ended("ada", ""), "hub"), range(8)))

    atoll.saved()

    assert len(atoll.checkpoints()) == 1


def test_a_server_that_dies_by_itself_is_saved(atoll: Atoll, tmp_path: Path) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    server.end()  # and the hub says nothing

    saved = atoll.saved()

    assert saved.target == ServerTarget.SAVED
    assert len(atoll.checkpoints()) == 1


def test_what_a_server_leaves_running_is_ended_before_it_is_saved(
    atoll: Atoll, tmp_path: Path
) -> None:
    server = atoll.start()
    left_over = subprocess.Popen(
        ["sleep", "1000"], env=server.preparation.variables, start_new_session=True
    )
    (server.env / "share").mkdir()
    (server.env / "share" / "notes").write_text("kept")

    atoll.stop(server)

    assert left_over.poll() is not None
    assert atoll.checkpoints()[0].changes.directories[0].path == "share"


def test_a_start_waits_for_the_last_stop_to_be_saved(atoll: Atoll, tmp_path: Path) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path, size=30_000_000)))
    server.end()
    atoll.send(client.ended("ada", ""), "hub")

    first = atoll.send(client.start("ada", "", StartRequest()), "hub")
    again = atoll.send(client.start("ada", "", StartRequest()), "hub")

    assert not first.ready
    assert "sav" in first.message
    assert again.start_id == first.start_id
    prepared = atoll.prepare()
    assert prepared.start_id == first.start_id
    assert prepared.environment == atoll.checkpoints()[0].digest


def test_ending_a_start_that_was_only_prepared_says_so_and_loses_nothing(
    atoll: Atoll, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    environment = atoll.stop(server).environment
    atoll.prepare()

    atoll.send(client.ended("ada", ""), "hub")
    saved = atoll.saved()

    assert saved.reason == "start_failed"
    assert saved.environment == environment
    assert atoll.start().run("seashell").returncode == 0


def test_bytecode_alone_is_no_change(atoll: Atoll, tmp_path: Path) -> None:
    server = atoll.start()
    server.run("pip", "install", "--no-compile", str(wheel(tmp_path)))
    atoll.stop(server)
    again = atoll.start()
    again.run("python", "-c", "import seashell")
    assert list(again.env.rglob("seashell/__pycache__/*.pyc"))

    atoll.stop(again)

    assert len(atoll.checkpoints()) == 1


def test_every_start_has_its_own_mark_and_an_older_one_cannot_be_reported(atoll: Atoll) -> None:
    server = atoll.start()
    atoll.stop(server)
    newer = atoll.prepare()

    assert newer.start_id != server.preparation.start_id
    with pytest.raises(ConflictError):
        atoll.send(client.started("ada", "", server.preparation.start_id), "hub")


def test_two_servers_of_a_user_have_environments_of_their_own(atoll: Atoll, tmp_path: Path) -> None:
    one, other = atoll.start(), atoll.start(name="gpu")
    one.run("pip", "install", str(wheel(tmp_path)))

    assert one.env != other.env
    assert other.run("python", "-c", "import seashell", check=False).returncode == 1


def test_a_long_poll_answers_when_the_server_changes(atoll: Atoll) -> None:
    server = atoll.start()
    seen = atoll.server().version
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(atoll.send, client.server("ada", "", version=seen, wait_s=20))
        server.end()
        began = time.monotonic()
        assert waiting.result().version != seen
    assert time.monotonic() - began < 15  # not the 20 s that it would wait at most
