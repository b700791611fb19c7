"""Logs that are kept small while processes append to them."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from atoll.kit.logfiles import last_lines, open_log, rotate


def test_a_process_goes_on_to_append_after_its_log_was_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "part.log"
    log = open_log(path)
    os.write(log, b"one\n" * 10)
    assert rotate(path, most=20)
    os.write(log, b"two\n")
    os.close(log)
    assert path.read_text() == "two\n"
    assert path.with_name("part.log.1").read_text() == "one\n" * 10


def test_only_so_many_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "part.log"
    for number in range(6):
        path.write_text(f"{number}")
        rotate(path, most=1, kept=2)
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "part.log", "part.log.1", "part.log.2",
    ]  # fmt: skip
    assert path.with_name("part.log.1").read_text() == "5"


def test_on_a_full_disk_all_stays_as_it_is_and_it_is_set_aside_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "part.log"
    path.write_text("older")
    assert rotate(path, most=1)
    path.write_text("newer")

    def full(_: Path, target: Path) -> None:
        target.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copy2", full)
        for _ in range(5):
            assert not rotate(path, most=1)
        os.close(open_log(path))
    found = {one.name: one.read_text() for one in tmp_path.iterdir()}
    assert found == {"part.log": "newer", "part.log.1": "older"}
    assert rotate(path, most=1)
    assert path.with_name("part.log.1").read_text() == "newer"


def test_a_small_log_and_a_missing_one_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "small").write_text("x")
    assert not rotate(tmp_path / "small")
    assert not rotate(tmp_path / "none")
    assert last_lines(tmp_path / "none", 3) == []


def test_the_last_lines_of_a_long_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n\n" for number in range(10_000)))
    assert last_lines(path, 2) == ["line 9998", "line 9999"]
