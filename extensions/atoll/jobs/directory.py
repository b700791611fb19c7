"""A job's directory: what it is to do, who carries it out, and what that process says of itself.

Both sides use it: the service writes the order and reads the rest, the job's process claims the
directory and writes. Plain JSON and no pydantic, so that the process is up in milliseconds.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from atoll.kit.files import read_bounded

_MOST_SAID: Final = 1 << 20  # of a file that a job's process writes about itself


@dataclass(frozen=True, slots=True)
class Order:
    """What a job's process is to do."""

    name: str  # of the notebook, for people
    kernel: str
    language: str
    parameters: dict[str, object]
    timeout_s: int
    grace_s: float
    start_within_s: float
    cwd: str
    most_log: int
    most_output: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Who has a job: a process by pid and start time (as psutil tells it), and since when."""

    pid: int  # 0 where it was given up, so that nobody ever will
    started: float
    at: float  # seconds since the epoch


class JobDirectory:
    """The directory of one job."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notebook = path / "notebook.ipynb"
        self.output = path / "output.ipynb"
        self.log = path / "job.log"
        self.environment = path / "environment"
        self.runtime = path / "runtime"
        self.work = path / "work"  # the files that the job was given
        self._order = path / "order.json"
        self._claim = path / "process.json"
        self._progress = path / "progress.json"
        self._result = path / "result.json"

    def prepare(self, order: Order, notebook: bytes) -> None:
        """Make it ready for a process; does the same again where it was cut off."""
        for folder in (self.path, self.runtime):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(self.notebook, notebook)
        write_whole(self._order, json.dumps(asdict(order)).encode())

    def order(self) -> Order:
        """What is to be done."""
        return Order(**json.loads(self._order.read_bytes()))

    def claim(self, pid: int, started: float) -> bool:
        """Take the job for this process, for good; False where somebody has it already.

        However often a job is started, one process alone gets this.
        """
        return self._take(Claim(pid, started, time.time()))

    def give_up(self) -> bool:
        """See to it that no process will ever carry it out; False where one has it already."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._take(Claim(0, 0.0, time.time()))

    def claimed(self) -> Claim | None:
        """Who has it; None where nobody has. A claim that was spoilt is nobody's for good."""
        if not os.path.lexists(self._claim):
            return None
        match _read_json(self._claim):
            case {
                "pid": int(pid),
                "started": int() | float() as started,
                "at": int() | float() as at,
            }:
                return Claim(pid, float(started), float(at))
            case _:
                return Claim(0, 0.0, 0.0)

    def say_progress(self, cell: int, cells: int) -> None:
        """The process's: it is at this code cell."""
        write_whole(self._progress, json.dumps([cell, cells]).encode(), sync=False)

    def progress(self) -> tuple[int, int] | None:
        """(cell, cells); None where it has not begun."""
        match _read_json(self._progress):
            case [int(cell), int(cells)]:
                return max(0, cell), max(0, cells)
            case _:
                return None

    def say_result(self, result: dict[str, object]) -> None:
        """The process's last word."""
        write_whole(self._result, json.dumps(result).encode())

    def result(self) -> dict[str, object] | None:
        """The process's last word, None where it has not said it."""
        return _read(self._result) or None

    def _take(self, claim: Claim) -> bool:
        draft = self._claim.with_name(f".process.{secrets.token_hex(8)}")
        write_new(draft, json.dumps(asdict(claim)).encode())
        try:
            os.link(draft, self._claim)  # the first wins, and what it wrote is whole
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True


def start_folder(wanted: str, user_home: Path) -> Path:
    """The notebook's folder in the user's home, so that relative paths lead where they do in the
    lab; the home itself where there is no such folder."""
    try:
        folder = (user_home / wanted).resolve()
        inside = folder.is_relative_to(user_home.resolve()) and folder.is_dir()
    except (OSError, ValueError, RuntimeError):  # a name that no folder can have
        return user_home
    return folder if inside else user_home


def write_new(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Write a file that must not exist, closed to others."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        if sync:
            os.fsync(file.fileno())


def write_whole(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Replace a file as a whole: readers see the old or the new; a full disk leaves the old."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        write_new(draft, content, sync=sync)
        draft.replace(path)
    except OSError:
        with suppress(FileNotFoundError):
            draft.unlink()
        raise


class Draft:
    """A file that is written piece by piece, and takes its place once it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._draft, flags, 0o600), "wb")
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Append."""
        self._file.write(piece)
        self.size += len(piece)

    def keep(self) -> None:
        """Put it in its place; readers see the old file or this one."""
        self._file.flush()
        self._draft.replace(self._path)

    def close(self) -> None:
        """Remove what was not kept."""
        with suppress(OSError):  # what could not be written is not to be kept either
            self._file.close()
        self._draft.unlink(missing_ok=True)


def _read_json(path: Path) -> object:
    found = read_bounded(path, 0, _MOST_SAID)
    if found is None:
        return None
    try:
        content: object = json.loads(found[0])
    except ValueError:  # not JSON, not UTF-8: the job wrote over it
        return None
    return content


def _read(path: Path) -> dict[str, object]:
    content = _read_json(path)
    return content if isinstance(content, dict) else {}
