"""The local runner: each job is a process of this machine that outlives the service.

A process leads its own session and works in the job's directory. Who carries a job out is decided
there, by one exclusive claim, so that starting again after a crash can never run a notebook twice;
how it stands is read there, so that a service that comes back finds its jobs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from atoll.jobs import bundle, endings
from atoll.jobs.directory import Claim, JobDirectory, Order, start_folder
from atoll.jobs.files import JobFiles
from atoll.jobs.models import Failure, JobStatus
from atoll.jobs.runners import Loop, Outcome, Phase, Said, Seen, Work
from atoll.jobs.settings import JobSettings
from atoll.kit.errors import AtollError, FullError, UnavailableError
from atoll.kit.home import Home
from atoll.kit.homes import make_home
from atoll.kit.names import directory_name
from atoll.kit.processes import end_marked, has_mark
from atoll.kit.variables import passed_on
from atoll.oci.tree import remove_tree

MARK: Final = "ATOLL_JOB"
"""The environment variable that marks every process of a job."""

Materialise = Callable[[str, Path], dict[str, str]]
"""Unpacks the environment of a digest into a directory; the variables to run in it."""

_TRIES: Final = 3  # a process that ends before it takes the job is started again so often
_END_GRACE_S: Final = 1.0  # for what a job leaves behind


_NEVER_STARTED: Final = Outcome(
    JobStatus.FAILED,
    "start_failed",
    "The job's process could not be started; the log may say why.",
)


class LocalRunner:
    """Runs jobs as processes of this machine."""

    def __init__(self, home: Home, materialise: Materialise, settings: JobSettings) -> None:
        self._home = home
        self._materialise = materialise
        self._settings = settings
        self._files = JobFiles(home, settings)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._tries: dict[str, int] = {}
        self._asked: dict[str, float] = {}

    def start(self, work: Work) -> None:
        """Begin. Raises FullError, UnavailableError where that is not possible now."""
        place = self._place(work.id)
        child = self._children.get(work.id)
        if place.claimed() is not None or (child is not None and child.poll() is None):
            return
        if self._tries.get(work.id, 0) >= _TRIES:
            place.give_up()
            return
        try:
            user_home = self._home.homes / directory_name(work.user)
            make_home(user_home)
            place.prepare(self._order(work, _start(work, place, user_home)), work.notebook())
            variables = self._materialise(work.environment, place.environment)
            self._spawn(work, place, {**variables, "HOME": str(user_home)})
        except OSError as error:
            raise _not_now(error) from error

    def look(self, id_: str) -> Seen:
        """How the job stands, by what its directory says."""
        place = self._place(id_)
        claimed = place.claimed()
        if claimed is None:
            child = self._children.get(id_)
            absent = child is None or child.poll() is not None
            return Seen(Phase.ABSENT if absent else Phase.STARTING)
        began = datetime.fromtimestamp(claimed.at, UTC) if claimed.pid else None
        alive = self._alive(id_, claimed)
        cell, cells = progress = place.progress() or (0, 0)
        if (said := place.result()) is not None:
            outcome, (cell, cells) = _outcome(said, progress)
            return Seen(Phase.ENDED, cell, cells, began, outcome)
        if alive:
            running = place.progress() is not None
            return Seen(Phase.RUNNING if running else Phase.STARTING, cell, cells, began)
        lost = _lost(cell) if claimed.pid else _NEVER_STARTED
        return Seen(Phase.ENDED, cell, cells, began, lost)

    def end(self, id_: str) -> bool:
        """Ask the process to end, and after the grace time end all that carries the job's mark."""
        place = self._place(id_)
        claimed = None if place.give_up() else place.claimed()
        if claimed is not None and place.result() is None and self._alive(id_, claimed):
            if id_ not in self._asked:
                self._asked[id_] = time.monotonic()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(claimed.pid, signal.SIGTERM)
            if time.monotonic() - self._asked[id_] < self._settings.grace_s:
                return False
        if not end_marked(MARK, id_, grace_s=_END_GRACE_S):
            return False
        for known in (self._asked, self._tries, self._children):
            known.pop(id_, None)
        return True

    def clear(self, id_: str) -> None:
        """Remove the environment and the unpacked files: they can be had again."""
        place = self._place(id_)
        for folder in (place.environment, place.runtime, place.work):
            if folder.is_dir() and not folder.is_symlink():
                remove_tree(folder)

    def environment(self, id_: str) -> Path | None:
        """The directory that the environment was unpacked into."""
        place = self._place(id_).environment
        return place if place.is_dir() and not place.is_symlink() else None

    def remove(self, id_: str) -> None:
        """Remove the job's directory."""
        self._files.remove(id_)

    def kept(self) -> list[str]:
        """Ids of jobs that have a directory."""
        return self._files.kept()

    def left(self) -> list[str]:
        """Ids of jobs that have an environment, or unpacked files."""
        places = ((id_, self._place(id_)) for id_ in self.kept())
        return [
            id_
            for id_, at in places
            if any(folder.is_dir() for folder in (at.environment, at.runtime, at.work))
        ]

    def alive(self) -> list[str]:
        """None: whoever ends a job has ended its processes before."""
        return []

    def watch(self, changed: Callable[[str], None]) -> Mapping[str, Loop]:
        """None: processes are looked at often enough."""
        del changed
        return {}

    def log(self, id_: str, offset: int, most: int) -> tuple[bytes, int]:
        """A piece of the log."""
        return self._files.log(id_, offset, most)

    def output(self, id_: str) -> bytes | None:
        """The output notebook; raises TooLargeError where the job made it what no job keeps."""
        return self._files.output(id_)

    def close(self) -> None:
        """It has none."""

    def _place(self, id_: str) -> JobDirectory:
        return self._files.place(id_)

    def _order(self, work: Work, cwd: Path) -> Order:
        return Order(
            name=work.name,
            kernel=work.kernel,
            language=work.language,
            parameters=dict(work.parameters),
            timeout_s=work.timeout_s,
            grace_s=self._settings.grace_s,
            start_within_s=self._settings.start_within_s,
            cwd=str(cwd),
            most_log=self._settings.most_log,
            most_output=self._settings.most_output,
        )

    def _spawn(self, work: Work, place: JobDirectory, variables: dict[str, str]) -> None:
        log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        try:
            child = subprocess.Popen(
                # -P, -s: nothing of the user's is imported into the platform's Python
                [sys.executable, "-P", "-s", "-m", "atoll.jobs.execute", str(place.path)],
                env={
                    **passed_on(),
                    **variables,
                    **work.variables,
                    MARK: work.id,
                    "JUPYTER_RUNTIME_DIR": str(place.runtime),
                },
                cwd=place.path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)
        # Somebody has to wait for it, or it stays a zombie.
        threading.Thread(target=child.wait, name=f"wait-{work.id}", daemon=True).start()
        self._children[work.id] = child
        self._tries[work.id] = self._tries.get(work.id, 0) + 1

    def _alive(self, id_: str, claim: Claim) -> bool:
        """Whether the job's process lives: the one of this number that carries the job's mark."""
        return claim.pid > 0 and has_mark(claim.pid, MARK, id_)


def _start(work: Work, place: JobDirectory, user_home: Path) -> Path:
    """Where the notebook starts: beside the files that it was given, else where it lies at home."""
    archive = work.files()
    if archive is None:
        return start_folder(work.folder, user_home)
    place.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    bundle.unpack(archive, place.work)
    return bundle.start_in(place.work, work.folder)


def _not_now(error: OSError) -> AtollError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FullError(
            "The disk of the platform is full, so the job cannot begin.",
            hint="An administrator has to free space; jobs and checkpoints you delete free some.",
        )
    return UnavailableError(
        f"The job cannot be set up ({error.strerror or error}).",
        hint="If it stays so, tell an administrator.",
    )


def _outcome(said: dict[str, object], progress: tuple[int, int]) -> tuple[Outcome, tuple[int, int]]:
    result = Said.read(said)
    return (result.outcome, result.step) if result is not None else (_lost(progress[0]), progress)


def _lost(cell: int) -> Outcome:
    return Outcome(JobStatus.FAILED, "lost", endings.vanished(cell), Failure(cell=cell or None))
