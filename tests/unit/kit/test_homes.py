"""A new user's home."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from atoll.kit.homes import furnish, make_home


def _demos(folder: Path) -> Path:
    (folder / "01-first").mkdir(parents=True)
    (folder / "01-first" / "notebook.ipynb").write_text("{}")
    return folder


def test_a_new_home_has_the_demos_and_is_closed_to_others(tmp_path: Path) -> None:
    home = tmp_path / "homes" / "ada"
    make_home(home, _demos(tmp_path / "demos"))
    assert (home / "demos/01-first/notebook.ipynb").exists()
    assert home.stat().st_mode & 0o077 == 0


def test_a_home_that_exists_is_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "homes" / "ada"
    home.mkdir(parents=True)
    make_home(home, _demos(tmp_path / "demos"))
    assert list(home.iterdir()) == []


def test_two_servers_started_at_once_make_one_home(tmp_path: Path) -> None:
    home, demos = tmp_path / "homes" / "ada", _demos(tmp_path / "demos")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: make_home(home, demos), range(8)))
    assert [path.name for path in home.parent.iterdir()] == ["ada"]
    assert (home / "demos/01-first/notebook.ipynb").exists()


def test_a_new_volume_gets_the_demos(tmp_path: Path) -> None:
    home = tmp_path / "volume"
    (home / "lost+found").mkdir(parents=True)
    furnish(home, _demos(tmp_path / "demos"))
    assert (home / "demos/01-first/notebook.ipynb").exists()


def test_demos_that_were_deleted_do_not_come_back(tmp_path: Path) -> None:
    home = tmp_path / "volume"
    (home / ".local").mkdir(parents=True)
    furnish(home, _demos(tmp_path / "demos"))
    assert [path.name for path in home.iterdir()] == [".local"]


def test_an_interrupted_copy_of_the_demos_is_begun_anew(tmp_path: Path) -> None:
    home = tmp_path / "volume"
    (home / ".demos.draft/01-first").mkdir(parents=True)
    furnish(home, _demos(tmp_path / "demos"))
    assert [path.name for path in home.iterdir()] == ["demos"]
    assert (home / "demos/01-first/notebook.ipynb").exists()
