"""What is captured for a job is what was named, as it is, and nothing from elsewhere."""

from __future__ import annotations

import linecache
import os
from pathlib import Path

import pytest
from atoll.jobs import submission
from atoll.jobs.capture import Captured, capture
from atoll.jobs.models import CAPTURED_COUNT_MOST
from atoll.kit.errors import InvalidError, TooLargeError

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("of another user")
    found = tmp_path / "home"
    for path, content in {
        "work/report.ipynb": "{}",
        "work/data/x.csv": "a,b\n",
        "work/data/deep/y.csv": "c\n",
        "work/data/.hidden": "h",
        "work/data/__pycache__/x.pyc": "p",
        "work/.env": "PASSWORD=1",
        "shared/helpers.py": "N = 1\n",
        ".ssh/id_rsa": KEY,
    }.items():
        (found / path).parent.mkdir(parents=True, exist_ok=True)
        (found / path).write_text(content)
    return found


def paths(found: Captured) -> list[str]:
    return [file.path for file in found.files]


def test_files_and_folders_are_captured_where_they_lie(home: Path) -> None:
    (home / "work/run.sh").write_text("#!/bin/sh\n")
    (home / "work/run.sh").chmod(0o755)

    found = capture(home, "work", ["data", "run.sh", "../shared/helpers.py", "./data/x.csv"])

    assert {file.path: (file.content, file.executable) for file in found.files} == {
        "work/data/x.csv": (b"a,b\n", False),
        "work/data/deep/y.csv": (b"c\n", False),
        "work/run.sh": (b"#!/bin/sh\n", True),
        "shared/helpers.py": (b"N = 1\n", False),
    }
    assert found.told is None, "hidden files and bytecode go without a word"


def test_paths_may_begin_at_the_home_or_at_the_root(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(home))
    (home.parent / "link").symlink_to(home)
    named = ["~/shared/helpers.py", str(home / "work/data/x.csv")]
    assert paths(capture(home.parent / "link", "work", named)) == [
        "shared/helpers.py",
        "work/data/x.csv",
    ]


@pytest.mark.parametrize(
    "name",
    ["../../secret.txt", "..", "/etc/passwd", "data/../../../secret.txt", "../../home/../secret.txt",
     "~/../secret.txt", "../../home/work/data/x.csv"],
)  # fmt: skip
def test_nothing_outside_of_the_home_is_captured(
    home: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(home))
    if name == "..":
        assert paths(capture(home, "work", [name])), "it is the home itself"
        name = "../.."
    with pytest.raises(InvalidError, match="outside of your files"):
        capture(home, "work", [name])


@pytest.mark.parametrize(
    ("link", "target", "name"),
    [
        ("work/out.csv", "../../secret.txt", "out.csv"),
        ("work/here.csv", "data/x.csv", "here.csv"),
        ("work/up", "../..", "up/secret.txt"),
        ("work/up", "..", "up"),
        ("work/up", "../..", "up/home/work/data/x.csv"),
        ("work/loop", "loop", "loop"),
    ],
)
def test_no_link_is_followed_whether_named_or_on_the_way(
    home: Path, link: str, target: str, name: str
) -> None:
    (home / link).symlink_to(target)
    with pytest.raises(InvalidError, match="links are not followed"):
        capture(home, "work", [name])


def test_links_and_pipes_in_a_folder_are_left_out_and_told(home: Path) -> None:
    (home / "work/data/out.csv").symlink_to("../../../secret.txt")
    (home / "work/data/up").symlink_to("../../..")
    os.mkfifo(home / "work/data/pipe")

    found = capture(home, "work", ["data"])

    assert paths(found) == ["work/data/deep/y.csv", "work/data/x.csv"]
    assert dict(found.left_out) == {
        "work/data/out.csv": "a link, and links are not followed",
        "work/data/up": "a link, and links are not followed",
        "work/data/pipe": "no plain file",
    }
    assert str(found.told).startswith("Left out: work/data/out.csv (a link")


def test_a_folder_that_becomes_a_link_while_it_is_looked_at_leads_nowhere(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.stat

    def replaced(path: object, **how: object) -> os.stat_result:
        found = real(path, **how)  # type: ignore[call-overload]
        if path == "deep":  # it has been looked at: now it is something else
            (home / "work/data/deep").rename(home / "work/aside")
            (home / "work/data/deep").symlink_to(home.parent)
        return found

    monkeypatch.setattr(os, "stat", replaced)
    found = capture(home, "work", ["data"])

    assert paths(found) == ["work/data/x.csv"]
    assert [path for path, _ in found.left_out] == ["work/data/deep"]


def test_a_secret_is_captured_only_where_it_is_named_itself(home: Path) -> None:
    (home / "work/data/id_ed25519").write_text("x")
    (home / "work/data/server.pem").write_text(KEY)

    found = capture(home, "work", ["."])
    assert dict(found.left_out) == {
        "work/data/id_ed25519": "it looks like a secret",
        "work/data/server.pem": "it looks like a secret",
    }
    assert "work/.env" not in paths(found)
    assert paths(capture(home, "work", [".env", "data/server.pem"])) == [
        "work/.env",
        "work/data/server.pem",
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [("nowhere.csv", "no such file"), ("data/x.csv/y", "is no folder"), ("", "has no name"),
     ("a\0b", "control characters"), ("x" * 300, "too long"), ("\udcff", "is no text")],
)  # fmt: skip
def test_what_cannot_be_captured_is_told(home: Path, name: str, words: str) -> None:
    with pytest.raises(InvalidError, match=words):
        capture(home, "work", [name])


def test_a_name_that_is_no_text_is_left_out_of_its_folder(home: Path) -> None:
    (home / "work/data" / os.fsdecode(b"\xff.csv")).write_text("x")
    found = capture(home, "work", ["data"])
    assert [why for _, why in found.left_out] == ["its name cannot be kept"]
    assert str(found.told).isprintable()


def test_a_folder_with_nothing_to_capture_is_told(home: Path) -> None:
    with pytest.raises(InvalidError, match="no files in"):
        capture(home, ".", [".ssh"])


def test_too_much_is_refused_before_it_is_read(home: Path) -> None:
    with (home / "work/huge.bin").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TooLargeError, match=r"more than 1\.0 MB, work/huge\.bin among them"):
        capture(home, "work", ["data", "huge.bin"], 10**6)
    many = home / "work/many"
    many.mkdir()
    for number in range(CAPTURED_COUNT_MOST + 1):
        (many / str(number)).touch()
    with pytest.raises(TooLargeError, match="more than 1000 files"):
        capture(home, "work", ["many"])


def test_a_submission_carries_them_and_says_where_the_notebook_lies(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "work/report.ipynb").write_text('{"cells": []}')
    (home / "work/data/link").symlink_to("x.csv")
    told: list[str] = []

    def request(*files: str) -> tuple[str, list[str]]:
        made = submission.request(home / "work/report.ipynb", {}, files=files, tell=told.append)
        return made.folder, [file.path for file in made.files]

    assert request("data/x.csv") == ("", ["data/x.csv"]), "elsewhere its folder is all there is"
    with pytest.raises(InvalidError, match="outside"):
        request("../shared/helpers.py")
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    monkeypatch.setenv("HOME", str(home))
    assert request("../shared", "data/x.csv") == ("work", ["shared/helpers.py", "work/data/x.csv"])
    assert not told
    request("data")
    assert told == ["Left out: work/data/link (a link, and links are not followed)."]


def test_what_is_left_out_is_warned_of_at_the_line_of_who_submits(home: Path) -> None:
    (home / "work/report.ipynb").write_text('{"cells": []}')
    (home / "work/data/link").symlink_to("x.csv")
    with pytest.warns(UserWarning, match="Left out: data/link") as warned:
        _submit(home / "work/report.ipynb", "data")
    assert warned[0].filename == __file__
    assert "_submit(home" in linecache.getline(__file__, warned[0].lineno)


def _submit(notebook: Path, *files: str) -> None:
    """As `atoll.submit` does."""
    submission.request(notebook, {}, files=files)
