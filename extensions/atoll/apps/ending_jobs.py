"""`atoll down --stop-jobs`: ends the running jobs of this platform, found by their mark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import psutil

from atoll.kit.home import Home
from atoll.kit.processes import end_marked

MARK: Final = "ATOLL_JOB"


def end_jobs(home: Home, say: Callable[[str], None]) -> None:
    """End every process of every running job of this home; the next start finds that they ended."""
    for job in sorted(running_jobs(home)):
        say(f"ending the job {job}")
        if not end_marked(MARK, job):
            say(f"processes of the job {job} do not end")


def running_jobs(home: Home) -> set[str]:
    """The jobs of this home of which a process lives; other platforms' jobs are not ours to end."""
    ours = {folder.name for folder in home.jobs.iterdir()}
    found = set()
    for process in psutil.process_iter():
        try:
            found.add(process.environ().get(MARK, ""))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # ended meanwhile, or another account's
    return found & ours
