"""Scripts that work after a move: their first line finds the interpreter beside them."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
from pathlib import Path, PurePosixPath
from typing import Final

from atoll.kit.files import read_bounded
from atoll.oci import REWRITE_LIMIT, Entry

# What pip writes for long paths and paths with spaces, and what uv writes for relocatable ones.
_EXEC: Final = re.compile(
    rb"#!/bin/sh\r?\n'''exec' (?P<quote>[\"']?)(?P<python>/[^\n]*?/bin/python[0-9.]*)(?P=quote)"
    rb" \"\$0\" \"\$@\"\r?\n' '''\r?\n"
)
_PLAIN: Final = re.compile(
    rb"#![ \t]*(?P<python>/[^\n]*?/bin/python[0-9.]*)(?P<options>[ \t][^\n]*)?\r?\n"
)
_RELOCATABLE: Final = (
    b"#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'%s' %s\"$0\" \"$@\"\n' '''\n"
)


def relocated(script: bytes, root: Path) -> bytes | None:
    """The script with a first line that works anywhere; None where it does not run `root`'s Python."""
    if not script.startswith(b"#!"):
        return None
    match = _EXEC.match(script) or _PLAIN.match(script)
    if match is None:
        return None
    python = Path(os.fsdecode(match["python"]))
    if python.parent != root / "bin":
        return None
    options = (match.groupdict().get("options") or b"").strip()
    line = _RELOCATABLE % (os.fsencode(python.name), options + b" " if options else b"")
    return line + script[match.end() :]


class Relocation:
    """Rewrites an environment's own scripts, and the RECORDs that hash them, as they are saved."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, entry: Entry, content: bytes) -> bytes | None:
        """The content to save, None where it stays as it is."""
        if entry.path.startswith(b"bin/"):
            return relocated(content, self._root)
        if entry.path.endswith(b".dist-info/RECORD"):
            return self._record(entry.path, content)
        return None

    def _record(self, path: bytes, content: bytes) -> bytes | None:
        """The RECORD with the hashes and sizes of its scripts as they are saved."""
        try:
            rows = list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))
        except (UnicodeDecodeError, csv.Error):
            return None  # not what pip and uv write: left to whoever wrote it
        beside = PurePosixPath(os.fsdecode(path)).parent.parent
        changed = False
        for row in rows:
            if len(row) != 3 or not row[1]:
                continue
            script = _script(beside, row[0])
            found = self._relocated(script) if script is not None else None
            if found is not None:
                row[1:] = [_hash(found), str(len(found))]
                changed = True
        if not changed:
            return None
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\n").writerows(rows)
        return out.getvalue().encode()

    def _relocated(self, name: str) -> bytes | None:
        found = read_bounded(self._root / "bin" / name, 0, REWRITE_LIMIT + 1)
        if found is None or len(found[0]) > REWRITE_LIMIT:
            return (
                None  # gone, or no script: it is saved as it is, and so is its line in the RECORD
            )
        return relocated(found[0], self._root)


def _script(beside: PurePosixPath, listed: str) -> str | None:
    """The name of the script in `bin` that a RECORD's line names, None for other files."""
    parts: list[str] = []
    for part in (*beside.parts, *PurePosixPath(listed).parts):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        else:
            parts.append(part)
    return parts[1] if len(parts) == 2 and parts[0] == "bin" else None


def _hash(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return "sha256=" + digest.decode()
