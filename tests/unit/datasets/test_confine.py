"""A confined process reads what it was given, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, sys, socket
from pathlib import Path
from atoll.datasets.confine import confine
given, writable, asked = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
before = os.open(given, os.O_RDONLY)
assert confine([before], writable)
import duckdb, decimal  # code is found still
assert duckdb.sql("SELECT 42").fetchall() == [(42,)]
(writable / "made").write_text("yes")
exec(asked)
"""


def run(tmp_path: Path, asked: str) -> subprocess.CompletedProcess[str]:
    given, writable = tmp_path / "given", tmp_path / "writable"
    given.mkdir()
    writable.mkdir()
    (given / "in.txt").write_text("in")
    (tmp_path / "out.txt").write_text("out")
    (given / "link.txt").symlink_to(tmp_path / "out.txt")
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, str(given), str(writable), asked],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_was_given_is_read(tmp_path: Path) -> None:
    done = run(tmp_path, "print((given / 'in.txt').read_text(), os.listdir(given))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("in ")
    assert (tmp_path / "writable" / "made").exists()


@pytest.mark.parametrize(
    "asked",
    [
        "(given / 'link.txt').read_text()",
        "(given / '..' / 'out.txt').read_text()",
        "open('/etc/passwd')",
        "open(f'/proc/{os.getppid()}/environ').read()",
        "(given / 'in.txt').write_text('changed')",
        "(given / 'in.txt').unlink()",
        "duckdb.sql(\"SELECT * FROM read_text('/etc/passwd')\").fetchall()",
        "import threading; t = threading.Thread(target=lambda: print(open('/etc/passwd').read()));"
        " t.start(); t.join(); sys.exit(1)",
        "socket.create_connection(('127.0.0.1', 9))",
    ],
)
def test_everything_else_is_refused(tmp_path: Path, asked: str) -> None:
    done = run(tmp_path, asked)
    assert done.returncode == 1
    assert "ermission denied" in done.stderr
    assert "root:" not in done.stdout
    assert (tmp_path / "given" / "in.txt").read_text() == "in"
