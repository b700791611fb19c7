"""One child of the supervisor, as a real process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from atoll.apps.children import Child, Program

STUBBORN = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"


def _program(tmp_path: Path, code: str = "import time; time.sleep(99)", told: str = "") -> Program:
    return Program(
        name="part",
        argv=(sys.executable, "-c", code),
        variables=dict(os.environ),
        folder=tmp_path,
        told=told,
        grace_s=0.2,
    )


def _child(tmp_path: Path, program: Program) -> Child:
    return Child(program, tmp_path, tmp_path / "part.log")


def _wait_for_line(log: Path) -> None:
    while not log.read_text():
        time.sleep(0.01)


async def test_a_child_that_lives_is_taken_over(tmp_path: Path) -> None:
    first = _child(tmp_path, _program(tmp_path))
    first.start()
    second = _child(tmp_path, _program(tmp_path))
    assert await second.take_over()
    assert second.process == first.process
    await first.end()
    assert not second.alive()


async def test_a_child_that_was_told_something_else_is_ended_instead(tmp_path: Path) -> None:
    first = _child(tmp_path, _program(tmp_path))
    first.start()
    second = _child(tmp_path, _program(tmp_path, told="a new setting"))
    assert not await second.take_over()
    assert not first.alive()


async def test_the_shell_it_was_started_from_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _program(tmp_path).fingerprint
    monkeypatch.setenv("TERM", "another")
    assert _program(tmp_path).fingerprint == before
    monkeypatch.setenv("ATOLL_HUB__CULL_AFTER_S", "60")
    assert _program(tmp_path).fingerprint != before


async def test_a_child_that_does_not_end_by_itself_is_killed(tmp_path: Path) -> None:
    child = _child(tmp_path, _program(tmp_path, STUBBORN))
    child.start()
    await asyncio.to_thread(_wait_for_line, child.log)
    await child.end()
    assert not child.alive()
    assert child.recorded() is None


async def test_a_child_that_died_is_seen(tmp_path: Path) -> None:
    child = _child(tmp_path, _program(tmp_path))
    child.start()
    assert child.process is not None
    child.process.send(signal.SIGKILL)
    assert await child.gone(5)
    assert not await _child(tmp_path, _program(tmp_path)).take_over()
