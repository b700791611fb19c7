"""Freezing a container for a moment, with a watchdog beside that thaws it whatever becomes of us."""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from atoll.agent import watchdog
from atoll.agent.cgroups import Freezer
from atoll.agent.errors import FreezeError
from atoll.oci.errors import TooSlowError

LIMIT_S: Final = 5.0
"""The longest that a container may stand still, from before it does."""
_FREEZE_WITHIN_S: Final = 2.0
_WATCHDOG_WITHIN_S: Final = 5.0
_SUFFIX: Final = ".frozen"


class Frozen:
    """A container that stands still; `seconds` says for how long, once it is over."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.ours = True  # False where somebody else has frozen it, and thaws it


@contextmanager
def frozen(freezer: Freezer, state: Path, *, limit_s: float = LIMIT_S) -> Iterator[Frozen]:
    """Freezes the group for the context, at most for `limit_s`.

    A group that somebody else has frozen is left as it is, before and after. `state` is a directory
    where a note of it lies meanwhile, for `thaw_leftovers`. Raises `FreezeError` where it cannot be
    frozen, and at the end where the watchdog had to thaw it: what was read then is no one moment.
    """
    result = Frozen()
    if freezer.asked() and freezer.frozen():
        result.ours = False
        yield result
        return
    with _note(freezer, state) as note:
        process = _watchdog(freezer, note, limit_s)
        try:
            began = time.monotonic()
            try:
                freezer.freeze(min(_FREEZE_WITHIN_S, limit_s))
                yield result
            except TooSlowError as error:
                raise _too_slow(limit_s) from error
            finally:
                freezer.thaw()
                result.seconds = time.monotonic() - began
        finally:
            acted = _dismiss(process)
    if acted:
        raise _too_slow(limit_s)


def _too_slow(limit_s: float) -> FreezeError:
    return FreezeError(
        f"The container had to be thawed after {limit_s:g} s, before all was read.",
        hint="Too much changed at once; try again, or save it when it is stopped.",
    )


def thaw_leftovers(state: Path) -> list[Path]:
    """Thaws what killed agents left frozen, by their notes in `state`; the groups it thawed."""
    thawed = []
    for path in sorted(state.glob(f"*{_SUFFIX}")):
        try:
            note = path.open("rb")
        except FileNotFoundError:
            continue  # its agent was done
        with note:
            try:
                fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its agent lives
            freezer = _noted(note.read())
            if freezer is not None:
                freezer.thaw()
                thawed.append(freezer.directory)
            path.unlink(missing_ok=True)
    return thawed


@contextmanager
def _note(freezer: Freezer, state: Path) -> Iterator[Path]:
    """Notes, durably and locked as long as we live, what is about to be frozen."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = state / f"{os.getpid()}-{time.monotonic_ns()}{_SUFFIX}"
    try:
        with _locked(path) as file:
            json.dump({"directory": str(freezer.directory), "version": freezer.version}, file)
            file.flush()
            os.fsync(file.fileno())
            yield path
    finally:
        path.unlink(missing_ok=True)


def _locked(path: Path) -> TextIO:
    """A new file, locked; where `thaw_leftovers` removed it before it was, another one."""
    while True:
        file = path.open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()


def _noted(content: bytes) -> Freezer | None:
    """What a note says; None for one that a crash cut off, before anything was frozen."""
    try:
        found = json.loads(content)
        return Freezer(Path(found["directory"]), int(found["version"]))
    except (ValueError, KeyError, TypeError):
        return None


def _watchdog(freezer: Freezer, note: Path, limit_s: float) -> subprocess.Popen[bytes]:
    """The watching process, which watches already."""
    command = [
        *(sys.executable, "-I", "-S", watchdog.__file__),
        *(str(limit_s), str(freezer.file), freezer.thawed, str(note)),
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, cwd="/"
    )
    if process.stdout is not None:
        ready, _, _ = select.select([process.stdout], [], [], _WATCHDOG_WITHIN_S)
        if ready and os.read(process.stdout.fileno(), 1) == b"r":
            return process
    process.kill()
    process.communicate()
    raise FreezeError(
        "The watchdog that would thaw the container did not start.",
        hint="The node has too little memory or too many processes.",
    )


def _dismiss(process: subprocess.Popen[bytes]) -> bool:
    """Tells the watchdog that all is well and waits for it to go; whether it had to act."""
    said, _ = process.communicate(b"d")  # an end of the pipe that is gone already is passed over
    return b"t" in said
