"""Restores that were killed, and cleaning up after them beside others."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from atoll.oci.layout import LayoutStore
from atoll.oci.tree import remove_tree
from atoll.oci.unpack import clean, unpack

from tests.unit.oci.trees import archive, debris, image_of, member, paths

ROOT = Path(__file__).parents[3]


def test_cleaning_leaves_alone_what_is_not_ours_and_what_is_not_there(final: Path) -> None:
    names = [".hidden", ".final.new", ".new-abc", "final.new-abc"]
    for name in names:
        (final.parent / name).mkdir()
    clean(final.parent)
    clean(final.parent / "missing")
    assert sorted(path.name for path in final.parent.iterdir()) == sorted(names)


UNPACKER = """
import sys
from pathlib import Path
from atoll.oci.layout import LayoutStore
from atoll.oci.unpack import unpack

store = LayoutStore(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    for digest in sys.argv[3:]:
        unpack(store, digest, Path(sys.argv[2]))
"""


def start_unpacker(store: LayoutStore, final: Path, *digests: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "extensions")}
    command = [sys.executable, "-c", UNPACKER, str(store.path), str(final), *digests]
    unpacker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert unpacker.stdout is not None
    assert unpacker.stdout.readline() == "ready\n"
    return unpacker


def test_a_restore_killed_at_any_moment_leaves_one_whole_tree(
    store: LayoutStore, final: Path
) -> None:
    one = image_of(
        store, archive([member(f"one/{n}", content=b"x") for n in range(60)]), name="one"
    )
    two = image_of(
        store, archive([member(f"two/{n}", content=b"x") for n in range(60)]), name="two"
    )
    unpack(store, one.digest, final)
    whole = (
        {"one", *(f"one/{n}" for n in range(60))},
        {"two", *(f"two/{n}" for n in range(60))},
    )
    dice = random.Random(2)
    for _ in range(12):
        unpacker = start_unpacker(store, final, one.digest, two.digest)
        time.sleep(dice.random() * 0.1)
        unpacker.send_signal(signal.SIGKILL)
        unpacker.communicate()
        clean(final.parent)
        assert paths(final) in whole
        assert debris(final.parent) == []


def test_cleaning_beside_a_living_restore_does_not_disturb_it(
    store: LayoutStore, final: Path
) -> None:
    image = image_of(store, archive([member(f"d/{n}", content=b"x") for n in range(100)]))
    unpacker = start_unpacker(store, final, image.digest)
    try:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            clean(final.parent)
            assert unpacker.poll() is None
    finally:
        unpacker.kill()
        unpacker.communicate()
    clean(final.parent)
    assert len(paths(final)) == 101


def test_what_cleaning_removes_is_held_until_it_is_gone(
    final: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a restore that has just made its directory would lock it, and lose it a moment later."""
    made = final.parent / ".final.new-made_and_not_yet_locked"
    made.mkdir()
    free = []

    def remove(path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free.append(path)
        os.close(descriptor)
        remove_tree(path)

    monkeypatch.setattr(sys.modules[clean.__module__], "remove_tree", remove)
    clean(final.parent)
    assert not made.exists()
    assert free == []


def test_a_restore_whose_directory_was_cleaned_before_it_was_locked_makes_another(
    store: LayoutStore, final: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = image_of(store, archive([member("kept", content=b"x")]))
    cleaned = []

    def lock(descriptor: int, how: int, flock: Callable[[int, int], None] = fcntl.flock) -> None:
        if not cleaned and (made := debris(final.parent)):
            cleaned.extend(made)
            clean(final.parent)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", lock)
    unpack(store, image.digest, final)
    assert len(cleaned) == 1
    assert paths(final) == {"kept"}
