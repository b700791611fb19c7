"""Full disks, starts that are given up, saves and stops that cross, two services on one database."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from atoll import oci
from atoll.checkpoints import client
from atoll.checkpoints.directory import EnvironmentDirectory
from atoll.checkpoints.environments import Pending
from atoll.checkpoints.models import CheckpointRequest, ServerStatus, StartRequest
from atoll.checkpoints.service import Checkpoints
from atoll.kit.home import Home

from tests.listening import listening, server_for

from .conftest import FAST
from .platform import Atoll, eventually, wheel
from .service_under_test import HubStub, build


@pytest.fixture
def small_store(home: Home) -> Iterator[Path]:
    """The image store on a disk of four megabytes."""
    home.create()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", home.images], check=True
    )
    yield home.images
    subprocess.run(["umount", "--lazy", home.images], check=True)


def test_a_full_disk_delays_saving_and_loses_nothing(
    small_store: Path, atoll: Atoll, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    good = atoll.save()
    (server.env / "big").write_bytes(incompressible(6_000_000))
    server.end()
    atoll.send(client.ended("ada", ""), "hub")
    waiting = eventually(atoll.server, lambda found: found.reason == "disk_full")
    assert waiting.message is not None
    assert "nothing is lost" in waiting.message
    assert waiting.environment == good.digest

    again = atoll.start()  # who wants to go on need not wait for room
    assert again.preparation.fallback is not None
    assert "could not be saved" in again.preparation.fallback
    assert (again.env / "big").stat().st_size == 6_000_000

    (again.env / "big").write_bytes(b"small now")
    saved = atoll.stop(again)
    assert saved.environment != good.digest
    assert saved.reason is None
    assert {path.name for path in (small_store / ".atoll").iterdir()} == {"lock"}


def test_what_nobody_foresaw_fails_the_save_in_words_and_is_in_the_log_with_its_place(
    atoll: Atoll, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of ours")

    (atoll.start().env / "new").write_bytes(b"x")
    monkeypatch.setattr(EnvironmentDirectory, "save", broken)
    failed = atoll.save()
    assert (failed.status, failed.reason) == ("failed", "save_failed")
    assert "ZeroDivisionError('of ours')" in str(failed.message)
    assert "in broken" in caplog.text

    monkeypatch.undo()
    assert atoll.save().status == "ready"


def incompressible(size: int) -> bytes:
    """Random bytes, for which no compression makes room."""
    with Path("/dev/urandom").open("rb") as file:
        return file.read(size)


def test_a_save_now_on_a_full_disk_says_so_and_keeps_the_last_good_one(
    small_store: Path, atoll: Atoll, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    good = atoll.save()
    (server.env / "big").write_bytes(incompressible(6_000_000))

    failed = atoll.save()

    assert failed.status == "failed"
    assert failed.reason == "disk_full"
    assert failed.message is not None
    assert "No room is left" in failed.message
    assert atoll.server().environment == good.digest
    (server.env / "big").unlink()
    (server.env / "notes").write_text("kept")
    assert atoll.save().status == "ready"


def test_a_start_from_the_base_that_is_given_up_changes_nothing(
    atoll: Atoll, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    environment = atoll.stop(server).environment
    atoll.prepare(environment="base")
    atoll.send(client.ended("ada", ""), "hub")
    atoll.saved()
    atoll.send(client.start("ada", "", StartRequest(environment="base")), "hub")
    atoll.send(client.ended("ada", ""), "hub")  # at whatever point of preparing it
    atoll.saved()

    # it was prepared once, so the base is what the server is at; nothing of its own was lost
    back = atoll.start(environment=str(environment))

    assert back.run("seashell").returncode == 0


def test_a_preparation_that_is_given_up_does_not_move_the_server(
    atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    environment = atoll.stop(server).environment
    place = server.env.parent
    checkpoints.environments.materialise(
        checkpoints.ground.base, place
    )  # as a killed start left it

    again = atoll.start()

    assert again.preparation.environment == environment
    assert again.run("seashell").returncode == 0


def test_a_stop_while_a_save_runs_keeps_what_both_saw(
    atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path, size=8_000_000)))
    asked = atoll.send(client.save(CheckpointRequest(server="-", note="now")))
    (server.env / "late").write_text("after the save was asked for")

    saved = atoll.stop(server)

    assert atoll.final(asked).status == "ready"
    names = names_in(checkpoints, str(saved.environment))
    assert b"late" in names
    assert any(name.endswith(b"seashell/data.bin") for name in names)


def names_in(checkpoints: Checkpoints, digest: str) -> set[bytes]:
    """The paths in all layers of an image."""
    image = oci.load_image(checkpoints.ground.images, digest)
    found = set()
    for layer, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=True):
        with oci.open_layer(checkpoints.ground.images, layer, diff_id) as reader:
            found |= {entry.path for entry in reader}
    return found


def test_a_job_that_asks_while_the_environment_is_saved_gets_what_it_was_then(
    atoll: Atoll, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path, size=8_000_000)))
    atoll.send(client.save(CheckpointRequest(server="-")))
    (server.env / "for the job").write_text("x")

    digest = eventually(
        lambda: checkpoints.environments.ensure("ada", "", "server", "job:1"),
        lambda found: not isinstance(found, Pending),
    )

    assert isinstance(digest, str)
    assert b"for the job" in names_in(checkpoints, digest)


def test_two_services_on_one_database_do_everything_once(
    atoll: Atoll, home: Home, tmp_path: Path
) -> None:
    second = server_for(build(home, FAST, HubStub()))
    ear = listening()
    thread = threading.Thread(target=second.run, kwargs={"sockets": [ear]})
    thread.start()
    other = Atoll(f"http://127.0.0.1:{ear.getsockname()[1]}/api/v1/")
    try:
        for number in range(4):
            here, there = (atoll, other) if number % 2 else (other, atoll)
            server = here.start()
            (server.env / f"n{number}").write_bytes(incompressible(300_000))
            server.end()
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda one: one.send(client.ended("ada", ""), "hub"), (here, there)))
            there.saved()
    finally:
        other.close()
        second.should_exit = True
        thread.join(20)
        ear.close()

    assert len(atoll.checkpoints()) == 4
    again = atoll.start()
    assert sorted(path.name for path in again.env.glob("n*")) == ["n0", "n1", "n2", "n3"]
    assert atoll.server().status == ServerStatus.RUNNING


def test_an_editable_package_goes_on_working_and_its_source_is_named(
    atoll: Atoll, tmp_path: Path
) -> None:
    source = tmp_path / "reef"
    source.mkdir()
    (source / "reef.py").write_text("def main():\n    print('alive')\n")
    (source / "backend.py").write_text(_BACKEND)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "reef"\nversion = "1.0"\n'
    )
    server = atoll.start()
    server.run("pip", "install", "--no-index", "--no-build-isolation", "-e", str(source))
    assert server.run("reef").stdout.strip() == "alive"

    atoll.stop(server)

    [checkpoint] = atoll.checkpoints()
    assert [item.path for item in checkpoint.left_out] == [str(source)]
    atoll.stop(atoll.start(environment="base"))
    back = atoll.start(environment=str(checkpoint.digest))
    assert back.run("reef").stdout.strip() == "alive"
    (source / "reef.py").write_text("def main():\n    print('edited')\n")
    assert back.run("reef").stdout.strip() == "edited"


_BACKEND = """
import pathlib, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    info = "reef-1.0.dist-info"
    files = {
        "reef.pth": str(pathlib.Path.cwd()),
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: reef\\nVersion: 1.0\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{info}/entry_points.txt": "[console_scripts]\\nreef = reef:main\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\\n" for name in [*files, f"{info}/RECORD"])
    name = "reef-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
    return name

build_wheel = build_editable
"""
