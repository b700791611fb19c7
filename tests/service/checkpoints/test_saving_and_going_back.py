"""Saving without stopping, comparing, going back, and undoing that."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from atoll.checkpoints import client, retention
from atoll.checkpoints.models import (
    CheckpointEdit,
    CheckpointRequest,
    CheckpointStatus,
    ServerStatus,
    Trigger,
)
from atoll.checkpoints.service import Checkpoints
from atoll.checkpoints.settings import CheckpointSettings
from atoll.kit.errors import ConflictError, NotFoundError
from atoll.kit.home import Home

from .platform import Atoll, eventually, wheel
from .service_under_test import HubStub


def test_a_running_server_is_saved_without_stopping(atoll: Atoll, tmp_path: Path) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))

    saved = atoll.save("before the upgrade")

    assert saved.status == CheckpointStatus.READY
    assert saved.trigger == Trigger.USER
    assert saved.note == "before the upgrade"
    assert atoll.server().unsaved is None
    assert server.process.poll() is None


def test_a_server_saves_itself_when_it_names_none(atoll: Atoll, tmp_path: Path) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))

    found = atoll.send(client.save(CheckpointRequest()), "ada-server")

    assert atoll.final(found).server == ""


def test_saving_with_nothing_changed_answers_at_once_with_the_current_checkpoint(
    atoll: Atoll, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    first = atoll.save()

    spent: list[float] = []
    for _ in range(5):
        began = time.monotonic()
        again = atoll.send(client.save(CheckpointRequest(server="-")))
        spent.append(time.monotonic() - began)
        assert (again.id, again.status) == (first.id, CheckpointStatus.READY)

    assert min(spent) < 1.0  # the least of several: a busy machine holds up any one of them
    assert len(atoll.checkpoints()) == 1


def test_a_note_names_a_point_in_time_even_where_nothing_changed(
    atoll: Atoll, tmp_path: Path
) -> None:
    atoll.start()
    first = atoll.save("one")
    second = atoll.save("two")

    assert [c.note for c in atoll.checkpoints()] == ["two", "one"]
    assert first.digest == second.digest


def test_many_saves_at_once_do_not_make_many_checkpoints(atoll: Atoll, tmp_path: Path) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path, size=5_000_000)))
    with ThreadPoolExecutor(6) as pool:
        asked = list(
            pool.map(lambda _: atoll.send(client.save(CheckpointRequest(server="-"))), range(6))
        )

    digests = {atoll.final(one).digest for one in asked}

    assert len(digests) == 1
    assert len(atoll.checkpoints()) == 1


def test_going_back_is_chosen_undone_and_carried_out(atoll: Atoll, tmp_path: Path) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path, version="1.0")))
    old = atoll.save()
    server.run("pip", "install", str(wheel(tmp_path, version="2.0")))
    assert atoll.stop(server).environment != old.digest

    assert atoll.send(client.restore(old.id)).continues_from == old.digest
    assert atoll.send(client.undo_restore("ada", "")).continues_from is None
    again = atoll.start()
    assert again.run("seashell").stdout.split()[0] == "2.0"
    atoll.stop(again)
    atoll.send(client.restore(old.id))
    back = atoll.start()

    assert back.run("seashell").stdout.split()[0] == "1.0"
    assert [one.current for one in atoll.checkpoints()] == [False, True]
    atoll.stop(back)
    assert atoll.start().run("seashell").stdout.split()[0] == "1.0"


def test_saved_until_is_told_of_what_the_server_started_from(atoll: Atoll, tmp_path: Path) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path, version="1.0")))
    old = atoll.save()
    server.run("pip", "install", str(wheel(tmp_path, version="2.0")))
    newest = atoll.stop(server).saved_at
    assert old.finished_at is not None
    assert newest is not None
    assert old.finished_at < newest

    server = atoll.start()
    assert atoll.server().saved_at == newest
    atoll.stop(server)
    atoll.send(client.restore(old.id))
    server = atoll.start()
    assert atoll.server().saved_at == old.finished_at
    atoll.stop(server)
    atoll.start(environment="base")
    assert atoll.server().saved_at is None


def test_going_back_with_stop_has_the_hub_stop_the_server_and_saves_it_first(
    atoll: Atoll, hub: HubStub, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    old = atoll.save()
    (server.env / "notes").write_text("not saved yet")

    atoll.send(client.restore(old.id, stop=True))

    assert hub.stopped == [("ada", "")]
    atoll.stop(server)
    assert len(atoll.checkpoints()) == 2
    assert not (atoll.start().env / "notes").exists()


def test_what_was_written_while_the_server_stood_still_is_saved_before_going_back(
    atoll: Atoll, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    old = atoll.stop(server)
    (server.env / "late").write_text("by a daemon that nobody knew")

    fresh = atoll.start(environment="base")

    assert not (fresh.env / "late").exists()
    newest = atoll.checkpoints()[0]
    assert newest.digest != old.environment
    atoll.stop(fresh)
    assert (atoll.start(environment=str(newest.digest)).env / "late").exists()


def test_a_removed_package_stays_removed(atoll: Atoll, tmp_path: Path) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)), str(wheel(tmp_path, "starfish")))
    with_it = atoll.save()
    server.run("pip", "uninstall", "--yes", "seashell")
    without = atoll.save()
    changes = atoll.send(client.changes(without.id, against="parent"))
    assert [(p.name, p.before, p.after) for p in changes.packages] == [("seashell", "1.0", None)]
    assert changes.directories == []
    assert atoll.send(client.changes(with_it.id, against=without.id)).packages[0].after == "1.0"
    atoll.stop(server)

    atoll.stop(atoll.start(environment="base"))
    back = atoll.start(environment=str(without.digest))

    assert back.run("python", "-c", "import seashell", check=False).returncode == 1
    assert not list(back.env.rglob("seashell*"))
    assert back.run("starfish").returncode == 0


def test_an_upgraded_package_shadows_the_platforms_own(atoll: Atoll, tmp_path: Path) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path, "prometheus_client", "99.0")))

    shown = eventually(lambda: atoll.server().unsaved, bool)

    assert shown is not None
    [package] = shown.packages
    assert (package.name, package.after) == ("prometheus-client", "99.0")
    assert package.before is not None
    atoll.stop(server)
    found = atoll.start().run("python", "-c", "import prometheus_client as p; print(p.__version__)")
    assert found.stdout.strip() == "99.0"


def test_a_requirements_file_lists_what_was_installed(atoll: Atoll, tmp_path: Path) -> None:
    atoll.start().run("pip", "install", str(wheel(tmp_path)))
    saved = atoll.save()

    text = atoll.send(client.requirements(saved.id)).decode()

    assert text.splitlines()[1:] == ["seashell==1.0"]


def test_an_edited_file_of_a_package_and_a_loose_file_are_told_by_directory(
    atoll: Atoll, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    atoll.save()
    module = next(server.env.rglob("seashell/__init__.py"))
    module.write_text(module.read_text() + "# edited\n")
    (server.env / "opt").mkdir()
    (server.env / "opt" / "tool").write_bytes(b"x" * 1000)

    second = atoll.save()
    changes = atoll.send(client.changes(second.id, against="parent"))

    assert changes.packages == []
    assert [(d.path, d.files) for d in changes.directories] == [
        ("lib/python3.11/site-packages/seashell", 1),
        ("opt", 1),
    ]


def test_an_editable_install_is_saved_as_the_pointer_that_it_is(
    atoll: Atoll, tmp_path: Path
) -> None:
    server = atoll.start()
    info = next(server.env.rglob("site-packages")) / "reef-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: reef\nVersion: 1.0\n")
    (info / "RECORD").write_text("")
    (info / "direct_url.json").write_text(
        '{"url": "file:///home/ada/reef", "dir_info": {"editable": true}}'
    )

    saved = atoll.save()

    assert [(item.path, "reef" in item.reason) for item in saved.left_out] == [
        ("/home/ada/reef", True)
    ]


def test_sockets_and_caches_are_left_out_and_said_and_secrets_are_warned_of(atoll: Atoll) -> None:
    server = atoll.start()
    (server.env / ".cache").mkdir()
    (server.env / ".cache" / "big").write_bytes(b"x" * 1000)
    (server.env / ".netrc").write_text("machine example.org password hunter2")

    saved = atoll.save()

    assert (".cache", "a cache") in [(item.path, item.reason) for item in saved.left_out]
    assert saved.reason == "secrets"
    assert saved.message is not None
    assert ".netrc" in saved.message
    assert "hunter2" not in saved.message


def test_notes_and_pins_are_edited(atoll: Atoll) -> None:
    atoll.start()
    saved = atoll.save("x")

    edited = atoll.send(client.edit(saved.id, CheckpointEdit(pinned=True)))

    assert edited.pinned
    assert edited.note == "x"


def test_the_current_a_pinned_and_a_held_checkpoint_cannot_be_deleted(
    atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    old = atoll.save()
    (server.env / "more").write_text("more")
    current = atoll.save()
    held = checkpoints.environments
    assert held.ensure("ada", "", str(old.digest), "job:1") == old.digest

    with pytest.raises(ConflictError, match="continues from"):
        atoll.send(client.delete(current.id))
    with pytest.raises(ConflictError, match="job:1"):
        atoll.send(client.delete(old.id))
    with checkpoints.ground.database.write() as session:
        held.release(session, "job:1")
    atoll.send(client.edit(old.id, CheckpointEdit(pinned=True)))
    with pytest.raises(ConflictError, match="pinned"):
        atoll.send(client.delete(old.id))
    atoll.send(client.edit(old.id, CheckpointEdit(pinned=False)))
    atoll.send(client.delete(old.id))

    assert [one.id for one in atoll.checkpoints()] == [current.id]
    with pytest.raises(NotFoundError):
        atoll.send(client.checkpoint(old.id))
    assert str(old.digest) not in {image.digest for image in checkpoints.ground.images.images()}
    with checkpoints.ground.database.write() as session, pytest.raises(NotFoundError):
        held.hold(session, str(old.digest), "job:2")


def test_only_the_last_checkpoints_and_the_pinned_ones_are_kept(
    atoll: Atoll, checkpoints: Checkpoints
) -> None:
    server = atoll.start()
    made = []
    for number in range(8):
        (server.env / "n").write_text(str(number))
        made.append(atoll.save().id)
        if number == 0:
            atoll.send(client.edit(made[0], CheckpointEdit(pinned=True)))

    kept = eventually(atoll.checkpoints, lambda found: len(found) == 6)

    assert [one.id for one in kept] == [*reversed(made[3:]), made[0]]


def test_layers_are_merged_after_some_checkpoints(atoll: Atoll, checkpoints: Checkpoints) -> None:
    server = atoll.start()
    counts = []
    for number in range(10):
        (server.env / f"n{number}").write_text(str(number))
        digest = atoll.save().digest
        counts.append(len(_layers(checkpoints, str(digest))))
    (server.env / "n3").unlink()
    atoll.stop(server)

    assert max(counts) <= 9
    assert counts[-1] < max(counts)
    atoll.stop(atoll.start(environment="base"))
    back = atoll.start(environment=str(atoll.checkpoints()[0].digest))
    assert sorted(path.name for path in back.env.glob("n?")) == [
        f"n{n}" for n in range(10) if n != 3
    ]


def _layers(checkpoints: Checkpoints, digest: str) -> tuple[object, ...]:
    from atoll.oci import load_image

    return load_image(checkpoints.ground.images, digest).manifest.layers


def test_what_was_chosen_for_the_next_start_outlives_the_save_before_it(
    served: tuple[Atoll, Checkpoints], home: Home, settings: CheckpointSettings
) -> None:
    atoll, checkpoints = served
    server = atoll.start()
    for number in range(settings.keep_last):
        (server.env / f"{number}.txt").write_text(str(number))
        atoll.save()
    oldest = atoll.checkpoints()[-1]
    (server.env / "unsaved.txt").write_text("one checkpoint more than are kept")
    for blob in (home.images / "blobs" / "sha256").iterdir():
        os.utime(blob, (0, 0))  # as if long beyond the grace time
    server.end()
    atoll.send(client.ended("ada", ""), "hub")

    assert oldest.digest is not None
    prepared = atoll.prepare(environment=str(oldest.digest))

    assert prepared.environment == oldest.digest
    assert prepared.fallback is None
    assert oldest.id in {one.id for one in atoll.checkpoints()}
    retention.collect(checkpoints.ground)
    assert not (server.env / "unsaved.txt").exists()


def test_the_end_of_an_earlier_start_that_is_told_late_ends_nothing(atoll: Atoll) -> None:
    first = atoll.start()
    atoll.stop(first)
    second = atoll.start()
    late = atoll.send(client.ended("ada", "", first.preparation.start_id), "hub")
    assert late.status == ServerStatus.RUNNING
    assert second.process.poll() is None
    ended = atoll.send(client.ended("ada", "", second.preparation.start_id), "hub")
    assert ended.status != ServerStatus.RUNNING
