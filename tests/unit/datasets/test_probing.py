"""The folder of a probe is its own from the first moment: no sweep takes it away."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest
from atoll.datasets import probing


def test_a_folder_that_is_worked_in_is_not_left(tmp_path: Path) -> None:
    folder = tmp_path / "dataset" / "probe"
    with probing.draft(folder), probing.left(folder) as left:
        assert not left
    with probing.left(folder) as left:
        assert left


def test_a_folder_that_was_swept_before_it_was_held_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "dataset" / "probe"
    swept = []

    def lock(descriptor: int, how: int, flock: Callable[[int, int], None] = fcntl.flock) -> None:
        if not swept:
            swept.append(folder)
            folder.rmdir()
            folder.parent.rmdir()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", lock)
    with probing.draft(folder):
        assert folder.is_dir()
