"""What users put into their environments may be anything: it stops no start and no save."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from atoll.checkpoints.models import CheckpointStatus

from .platform import Atoll, Running, eventually, wheel


def site_packages(server: Running) -> Path:
    (found,) = server.env.glob("lib/python3*/site-packages")
    return found


@pytest.mark.parametrize("place", ["bin/pip", "RECORD", "direct_url.json"])
def test_a_pipe_where_a_file_is_expected_holds_nothing_up(
    atoll: Atoll, tmp_path: Path, place: str
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    folder = server.env if "/" in place else site_packages(server) / "seashell-1.0.dist-info"
    (folder / place).unlink(missing_ok=True)
    os.mkfifo(folder / place)

    unsaved = eventually(lambda: atoll.server().unsaved, lambda found: found is not None)
    assert [package.name for package in unsaved.packages] == ["seashell"]
    assert atoll.save().status == CheckpointStatus.READY
    assert atoll.stop(server).reason is None


def test_the_skeleton_is_not_written_through_links(atoll: Atoll, tmp_path: Path) -> None:
    mine = tmp_path / "not-the-platform's"
    mine.write_text("mine")
    server = atoll.start()
    for name in ("bin/activate", "bin/Activate.ps1", "bin/activate-mine", "pyvenv.cfg"):
        (server.env / name).unlink(missing_ok=True)
        (server.env / name).symlink_to(mine)
    atoll.stop(server)

    again = atoll.start()

    assert mine.read_text() == "mine"
    assert not (again.env / "bin/activate").is_symlink()


def test_directories_where_the_skeleton_is_do_not_stop_the_next_start(atoll: Atoll) -> None:
    server = atoll.start()
    (server.env / "bin/activate.d").mkdir()
    for name in ("bin/activate", "pyvenv.cfg", "bin/python"):
        (server.env / name).unlink()
        (server.env / name / "inside").mkdir(parents=True)
    atoll.stop(server)

    again = atoll.start()

    assert again.run("python", "-c", "import sys; print(sys.prefix)").stdout.strip() == str(
        again.env
    )


def test_metadata_that_nobody_can_read_is_passed_over(atoll: Atoll, tmp_path: Path) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    packages = site_packages(server)
    (packages / "seashell-1.0.dist-info" / "direct_url.json").write_text("[" * 200_000)
    Path(os.fsdecode(os.fsencode(packages) + b"/\xff-1.dist-info")).mkdir()
    (packages / "deep-1.dist-info").mkdir()
    (packages / "deep-1.dist-info" / "direct_url.json").write_text(
        '{"dir_info": {"editable": true}, "url": "file:///\\ud800/x"}'
    )

    saved = atoll.save()

    assert saved.status == CheckpointStatus.READY
    assert saved.changes is not None
    assert {package.name for package in saved.changes.packages} == {"seashell", "deep"}
    assert [one.id for one in atoll.checkpoints()] == [saved.id]
    assert atoll.stop(server).environment is not None
