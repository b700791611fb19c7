"""Scripts that work after a move, and the lists that hash them."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
from atoll.checkpoints.relocation import Relocation, relocated
from atoll.oci import Entry, Kind
from hypothesis import example, given
from hypothesis import strategies as st

BODY = b"# -*- coding: utf-8 -*-\nimport sys\nprint(sys.argv[1:])\n"
ROOT = Path("/srv/ada lovelace/env")


def environment(root: Path) -> Path:
    """A directory whose bin has this Python under its usual name."""
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "python").symlink_to(sys.executable)
    return root


def first_lines(root: Path) -> list[bytes]:
    python = str(root / "bin" / "python").encode()
    return [
        b"#!%s\n" % python,
        b"#! %s\r\n" % python,
        b"#!%s -sE\n" % python,
        b"#!/bin/sh\n'''exec' \"%s\" \"$0\" \"$@\"\n' '''\n" % python,
        b"#!/bin/sh\n'''exec' %s \"$0\" \"$@\"\n' '''\n" % python,
    ]


@pytest.mark.parametrize("number", range(5))
def test_a_script_runs_the_python_beside_it_wherever_both_are_moved(
    tmp_path: Path, number: int
) -> None:
    root = environment(tmp_path / "here")
    found = relocated(first_lines(root)[number] + BODY, root)
    assert found is not None
    script = root / "bin" / "tool"
    script.write_bytes(found)
    script.chmod(0o755)
    there = tmp_path / ("a place with ' and é and " + "x" * 120)
    root.rename(there)
    (tmp_path / "link").symlink_to(there / "bin" / "tool")

    for way in (there / "bin" / "tool", tmp_path / "link"):
        done = subprocess.run([way, "a b", "$c"], capture_output=True, text=True, check=True)
        assert done.stdout == "['a b', '$c']\n"


def test_options_of_the_first_line_are_kept() -> None:
    found = relocated(b"#!%s/bin/python3.11 -sE\n" % str(ROOT).encode() + BODY, ROOT)

    assert found is not None
    assert b"/'python3.11' -sE \"$0\"" in found


@pytest.mark.parametrize(
    "script",
    [
        b"",
        b"\x7fELF\x02",
        b"#!/bin/sh\necho hello\n",
        b"#!/usr/bin/env python\n",
        b"#!/usr/bin/python3\nimport sys\n",
        b"#!/srv/another/env/bin/python\n",
        b"#!/srv/ada lovelace/env/bin/perl\n",
        b"#!/srv/ada lovelace/env/bin/python",  # no end of line: not what an installer writes
    ],
)
def test_what_does_not_run_this_environments_python_stays(script: bytes) -> None:
    assert relocated(script, ROOT) is None


@given(st.binary(max_size=200))
@example(b"#!" + b"/" * 100)
def test_no_content_breaks_it_and_what_was_moved_once_stays(content: bytes) -> None:
    assert relocated(content, ROOT) is None
    moved = relocated(b"#!%s/bin/python\n" % str(ROOT).encode() + content, ROOT)
    assert moved is not None
    assert moved.endswith(content)
    assert relocated(moved, ROOT) is None


def entry(path: bytes) -> Entry:
    return Entry(path, Kind.FILE, 0o644, 0, 0, 0, 0)


def test_a_record_lists_scripts_as_they_are_saved_and_all_else_as_it_was(tmp_path: Path) -> None:
    root = environment(tmp_path / "env")
    content = first_lines(root)[0] + BODY
    (root / "bin" / "tool").write_bytes(content)
    record = (
        b'../../../bin/tool,sha256=old,1\r\n"a,b.py",sha256=x,2\r\ntool/RECORD,,\r\n'
        b"../../../../../etc/passwd,sha256=y,3\r\n../../../bin/python,sha256=z,4\r\n"
    )
    path = b"lib/python3.11/site-packages/tool-1.0.dist-info/RECORD"

    saved = Relocation(root)(entry(path), record)

    assert saved is not None
    rows = list(csv.reader(io.StringIO(saved.decode(), newline="")))
    script = relocated(content, root)
    assert script is not None
    digest = base64.urlsafe_b64encode(hashlib.sha256(script).digest()).rstrip(b"=").decode()
    assert rows[0] == ["../../../bin/tool", f"sha256={digest}", str(len(script))]
    assert rows[1:] == [
        ["a,b.py", "sha256=x", "2"],
        ["tool/RECORD", "", ""],
        ["../../../../../etc/passwd", "sha256=y", "3"],
        ["../../../bin/python", "sha256=z", "4"],
    ]


@given(st.binary(max_size=300))
def test_a_record_that_is_none_stays_as_it_is(content: bytes) -> None:
    path = b"lib/python3.11/site-packages/x-1.dist-info/RECORD"

    assert Relocation(ROOT)(entry(path), content) is None
