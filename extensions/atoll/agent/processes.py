"""Who began something that outlives a process: a name that tells whether that process still runs."""

from __future__ import annotations

import os
from pathlib import Path


def mine() -> str:
    """This process's name: no later process, and none of another pid namespace, has the same."""
    pid = os.getpid()
    return f"{_namespace()}.{pid}.{_started(pid)}"


def ended(owner: str) -> bool:
    """Whether the process of this name has ended; False where that cannot be known from here."""
    parts = owner.split(".")
    if len(parts) != 3 or parts[0] != _namespace() or not parts[1].isdecimal():
        return False
    return _started(int(parts[1])) != parts[2]


def _namespace() -> str:
    return str(Path("/proc/self/ns/pid").stat().st_ino)


def _started(pid: int) -> str:
    """When the process began, in ticks since boot (proc(5), field 22); empty where there is none."""
    try:
        content = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    fields = content.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
