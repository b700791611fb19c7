"""A save has low priority, and so has everything that it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from atoll.agent.priority import NICE

SHOW = """
import json, os, sys, threading
import psutil
from atoll.agent.priority import be_modest
be_modest()
found = []
def look():
    io = psutil.Process(threading.get_native_id()).ionice()
    found.append((os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), io.ioclass, io.value))
look()
thread = threading.Thread(target=look)
thread.start()
thread.join()
print(json.dumps(found))
"""


def test_threads_too_are_modest() -> None:
    command = [sys.executable, "-c", SHOW]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    best_effort = 2
    for nice, kind, level in json.loads(done.stdout):
        assert nice >= NICE
        assert (kind, level) == (best_effort, 7)
