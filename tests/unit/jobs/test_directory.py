"""A job's directory and its log: one claim, whole files, bounds."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from atoll.jobs.directory import JobDirectory, read_bounded, start_folder, write_whole
from atoll.jobs.logfile import LogFile


@pytest.fixture
def place(tmp_path: Path) -> JobDirectory:
    return JobDirectory(tmp_path)


def test_of_many_who_claim_a_job_at_once_one_gets_it(place: JobDirectory) -> None:
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda pid: place.claim(pid, 1.5), range(1, 65)))

    assert sum(got) == 1
    claimed = place.claimed()
    assert claimed is not None
    assert claimed.pid == got.index(True) + 1
    assert not place.give_up()
    assert [path.name for path in place.path.iterdir()] == ["process.json"]


def test_nobody_gets_a_job_that_was_given_up(place: JobDirectory) -> None:
    assert place.give_up()

    assert not place.claim(1, 1.0)
    claimed = place.claimed()
    assert claimed is not None
    assert claimed.pid == 0


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"5", b"[1]", b"{}"])
def test_files_that_were_spoilt_say_nothing(place: JobDirectory, content: bytes) -> None:
    for name in ("process.json", "progress.json", "result.json"):
        (place.path / name).write_bytes(content)

    claimed = place.claimed()
    assert claimed is not None
    assert claimed.pid == 0
    assert place.progress() is None
    assert place.result() is None


def test_no_link_pipe_or_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "there")
    (tmp_path / "folder").mkdir()

    assert read_bounded(tmp_path / "link", 0, 9) is None
    assert read_bounded(tmp_path / "none", 0, 9) is None
    assert read_bounded(tmp_path / "folder", 0, 9) is None
    os.mkfifo(tmp_path / "pipe")
    assert read_bounded(tmp_path / "pipe", 0, 9) is None
    assert read_bounded(tmp_path / "there", 2, 3) == (b"cre", 6)
    assert read_bounded(tmp_path / "there", 99, 3) == (b"", 6)


def test_a_write_that_fails_leaves_the_file_as_it_was(
    place: JobDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(place.output, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(place.output, b"new")

    assert place.output.read_bytes() == b"old"
    assert [path.name for path in place.path.iterdir()] == ["output.ipynb"]


FOLDERS = ["../../../etc", "/etc", "..", "a\0b", "x" * 300, "x/" * 500, "a b/é 🐚", "{n}", "~", "."]


@pytest.mark.parametrize("wanted", [*FOLDERS, "out", "file", "loop"])
def test_a_job_starts_nowhere_but_in_the_home(tmp_path: Path, wanted: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "out").symlink_to("/etc")
    (home / "loop").symlink_to("loop")
    (home / "file").touch()
    assert start_folder(wanted, home) == home


def test_a_job_starts_where_its_notebook_lies(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    assert start_folder("a/b", tmp_path) == tmp_path / "a" / "b"
    assert start_folder("link/b", tmp_path) == tmp_path / "a" / "b"


def test_a_log_ends_at_its_limit_and_says_so(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log", 2000)
    for _ in range(100):
        log.write("é" * 50)
    log.note("the end")

    text = (tmp_path / "log").read_text()
    assert text.startswith("é" * 1000)
    assert "the rest is not kept" in text
    assert text.endswith("the end\n")
    assert len(text.encode()) < 2200


def test_a_log_that_is_opened_again_goes_on_counting(tmp_path: Path) -> None:
    LogFile(tmp_path / "log", 10).write("12345678")
    LogFile(tmp_path / "log", 10).write("abcdefgh")

    assert (tmp_path / "log").read_text().startswith("12345678ab\n[")
