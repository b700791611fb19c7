"""The agent's own program, killed at a moment: `python -m tests.contract.agent.dying_agent PLACE HOW run …`.

PLACE is as `die_at` has it. HOW is `alone`, or `all`: its watchdog is killed first.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from atoll.apps import agent

from tests.dying import die_at, killed


def all_killed() -> None:
    """kill -9 of the processes that this one started, and of itself."""
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            os.kill(int(child), signal.SIGKILL)
    killed()


if __name__ == "__main__":
    place, how = sys.argv[1:3]
    del sys.argv[1:3]
    die_at(place, die=all_killed if how == "all" else killed)
    agent.main()
