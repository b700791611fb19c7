"""Progress: a bar in a terminal, a line in a notebook, silence in a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import nbformat
from nbclient import NotebookClient

WORK = (
    "import atoll.kit.progress as progress\n"
    "progress._SHOW_AFTER_S = 0\n"
    "with progress.progress() as report:\n"
    "    report('<b>saving</b> your environment', 0.5)\n"
    "print('done')\n"
)


def test_a_terminal_shows_a_bar_that_goes_away() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", WORK],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={"PATH": os.environ["PATH"], "TERM": "xterm"},
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # Linux's way to say that the other end is closed
                break
            shown += piece
        assert process.stdout is not None
        assert process.stdout.read() == b"done\n", "progress is no output"
    os.close(ours)
    assert b"saving" in shown
    assert shown.rstrip().endswith(b"\x1b[2K")  # the line is erased in the end


def test_a_pipe_gets_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORK], capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_a_notebook_shows_a_line_that_is_escaped_and_goes_away() -> None:
    keep = WORK.replace("print('done')", "progress._NotebookLine().report('<b>saving</b>', 0.5)")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(WORK), nbformat.v4.new_code_cell(keep)]
    )
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    gone, kept = notebook.cells
    shown = [out["data"]["text/html"] for out in gone.outputs if "data" in out]
    assert shown == [""]
    shown = [out["data"]["text/html"] for out in kept.outputs if "data" in out]
    assert shown[-1] == '<progress value="0.500"></progress> &lt;b&gt;saving&lt;/b&gt;'
