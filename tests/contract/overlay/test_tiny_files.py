"""Ten million tiny files: a refusal with the number, in seconds and little memory, not a dead agent."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.checkpoints.settings import CheckpointSettings

MOST = CheckpointSettings().most_entries
PROGRAM = """
import re, sys
from pathlib import Path
from atoll.oci.errors import LimitError
from atoll.oci.overlay_changes import scan
from atoll.oci.source import Limits
try:
    scan(Path(sys.argv[1]), limits=Limits(entries=int(sys.argv[2])))
except LimitError as error:
    print(error.detail)
# not ru_maxrss: that begins with what the process had that made this one
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def scanned(upper: Path, most: int) -> tuple[str, int]:
    """What a scan in a process of its own says, and the MB that it had resident."""
    command = [sys.executable, "-c", PROGRAM, str(upper), str(most)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    said, resident = done.stdout.splitlines()
    return said, int(resident) >> 10


def fill(upper: Path, files: int) -> None:
    """Other names of a few files: as many entries, made faster."""
    for number in range(files // 1000 + 1):
        place = upper / f"{number}"
        place.mkdir()
        first = place / "0"
        first.touch()
        for name in range(1, 1000):
            os.link(first, place / f"{name}")


def test_the_entries_allowed_are_counted_before_anything_is_read(tmp_path: Path) -> None:
    fill(tmp_path, 30_000)
    said, resident = scanned(tmp_path, 20_000)
    assert said == "There are more than 20,000 entries."
    assert resident < 100


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_more_files_than_an_environment_may_have_are_refused_in_seconds(memory: Path) -> None:
    fill(memory, MOST)
    began = time.monotonic()
    said, resident = scanned(memory, MOST)
    assert time.monotonic() - began < 60
    assert said == f"There are more than {MOST:,} entries."
    assert resident < 200
    shutil.rmtree(memory / "0")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_directory_of_a_million_names_is_refused_too(memory: Path) -> None:
    for number in range(300_000):
        (memory / f"{number}").touch()
    said, resident = scanned(memory, MOST)
    assert "has more than 250,000 entries" in said
    assert resident < 400
