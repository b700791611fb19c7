"""What lies in the home instead of the environment: found by names alone, within bounds."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import pytest
from atoll.server import elsewhere
from atoll.server.elsewhere import Elsewhere, Looks, Package, Place, look

from tests.unit.server.labserver import Lab

SITE = ".local/lib/python3.11/site-packages"


def directories(home: Path, *paths: str) -> None:
    for path in paths:
        (home / path).mkdir(parents=True, exist_ok=True)


def test_what_pip_put_into_the_home_is_named_once(tmp_path: Path) -> None:
    directories(
        tmp_path,
        f"{SITE}/polars-2.1.0.dist-info",
        f"{SITE}/polars",
        f"{SITE}/Typing_Extensions-4.15.0.dist-info",
        f"{SITE}/broken.dist-info",
        ".local/lib/python3.12/site-packages/polars-2.1.0.dist-info",
        ".local/lib/other/site-packages/none-1.0.dist-info",
    )
    found = look(tmp_path)
    assert found.packages == [Package("polars", "2.1.0"), Package("typing-extensions", "4.15.0")]
    assert (found.package_count, found.complete, found.environments) == (2, True, [])


def test_environments_are_found_where_people_put_them_and_not_looked_into(tmp_path: Path) -> None:
    directories(
        tmp_path,
        "miniconda3/conda-meta",
        "miniconda3/envs/old/conda-meta",
        "work/report/.venv/lib",
        ".cache/uv/environments/x",
        "a/b/c/d/e",
    )
    for path in ("work/report/.venv", ".cache/uv/environments/x", "a/b/c/d/e"):
        (tmp_path / path / "pyvenv.cfg").touch()
    found = look(tmp_path)
    assert found.environments == [Place("miniconda3", "conda"), Place("work/report/.venv", "venv")]
    assert found.packages == []


def test_no_link_is_followed(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    directories(other, "lib/python3.11/site-packages/secret-1.0.dist-info", "project/conda-meta")
    home.mkdir()
    (home / ".local").symlink_to(other)
    (home / "linked").symlink_to(other)
    (home / "loop").symlink_to(home)
    assert look(home) == Elsewhere()


def test_another_file_system_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directories(tmp_path, "shared/project/conda-meta", f"{SITE}/polars-2.1.0.dist-info")
    real = os.lstat

    class Mounted:
        st_dev = -1

    def lstat(path: Path) -> object:
        return Mounted if path.name == "shared" else real(path)

    monkeypatch.setattr(os, "lstat", lstat)
    assert look(tmp_path).environments == []


def test_the_look_ends_in_time_and_says_that_it_did_not_see_all(tmp_path: Path) -> None:
    directories(tmp_path, "a/conda-meta", "b/conda-meta", f"{SITE}/polars-2.1.0.dist-info")
    ticks = count()
    found = look(tmp_path, lambda: next(ticks) * 0.3)
    assert not found.complete


def test_many_entries_are_not_counted_to_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "_ENTRIES_MOST", 5)
    directories(tmp_path, *(f"project-{number}" for number in range(9)), "z/conda-meta")
    assert look(tmp_path) == Elsewhere(complete=False)


def test_of_many_packages_some_are_named_and_all_are_counted(tmp_path: Path) -> None:
    directories(tmp_path, *(f"{SITE}/p{number}-1.dist-info" for number in range(120)))
    found = look(tmp_path)
    assert (found.package_count, len(found.packages)) == (120, 50)


def test_where_there_is_no_home_nothing_is_found(tmp_path: Path) -> None:
    assert look(tmp_path / "none") == Elsewhere(complete=False)


def test_a_home_is_looked_at_once_a_minute(tmp_path: Path) -> None:
    now = 0.0
    looks = Looks(tmp_path, lambda: now)
    assert looks.last().environments == []
    directories(tmp_path, "late/conda-meta")
    now = 59.0
    assert looks.last().environments == []
    now = 61.0
    assert looks.last().environments == [Place("late", "conda")]


def test_the_lab_is_told(lab: Lab) -> None:
    answer = lab.ask("GET", "atoll/home")
    assert answer.status == 200
    assert set(answer.json()) == {"packages", "package_count", "environments", "complete"}
    assert lab.ask("GET", "atoll/home", token=None).status == 403
