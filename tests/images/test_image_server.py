"""What a server in a container does about its home before it serves."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.apps.image_server import notice, prepared
from atoll.server.platform import NOTICE


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A home on a file system of its own, of 8 MB."""
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(home)], check=True)
    yield home
    subprocess.run(["umount", str(home)], check=True)


def test_a_home_that_takes_files_needs_nothing(small: Path) -> None:
    assert prepared(small, {}) == {}
    assert (small / "demos").is_dir()
    assert [path.name for path in small.iterdir()] == ["demos"]


def fill(home: Path) -> None:
    (home / "mine").mkdir()
    with (home / "mine/large").open("wb", buffering=0) as file, pytest.raises(OSError) as full:
        while True:
            file.write(b"\0" * 4096)
    assert full.value.errno == errno.ENOSPC


def test_a_full_home_is_said_and_jupyter_writes_elsewhere(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(small)
    added = prepared(small, {"JUPYTER_PATH": "/opt/somewhere"})
    assert "is full" in added[NOTICE]
    assert "restart your server" in added[NOTICE]
    assert "is full" in capsys.readouterr().err
    assert not added["IPYTHONDIR"].startswith(str(small))
    # else Jupyter takes it for something to migrate, and fails to note in the home that it did
    assert not Path(added["IPYTHONDIR"]).exists()
    assert added["JUPYTER_PATH"] == f"/opt/somewhere{os.pathsep}{small}/.local/share/jupyter"


def test_a_new_home_too_small_for_the_demos_has_no_half_of_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(home)], check=True)
    try:
        assert NOTICE in prepared(home, {})
        assert list(home.iterdir()) == []
    finally:
        subprocess.run(["umount", str(home)], check=True)


def test_a_kernel_runs_where_the_home_is_full(small: Path) -> None:
    fill(small)
    variables = {**os.environ, "HOME": str(small), **prepared(small, {})}
    script = (
        "from jupyter_client.manager import run_kernel\n"
        "with run_kernel(kernel_name='python3') as client:\n"
        "    answer = client.execute_interactive('print(6 * 7)', timeout=60)\n"
        "    assert answer['content']['status'] == 'ok', answer\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "42" in done.stdout


def test_a_read_only_home_is_said(small: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    said = prepared(small, {})[NOTICE]
    assert "Read-only file system" in said
    assert "Ask whoever runs the platform" in said


def test_a_quota_is_a_full_home() -> None:
    assert "is full" in notice(Path("/home/ada"), OSError(errno.EDQUOT, "Disk quota exceeded"))
