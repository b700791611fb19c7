"""A save has low priority, and so has everything that it starts."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

from atoll.agent.priority import NICE, SLICE

SHOW = """
import ctypes, json, os, platform, struct, sys, threading
import psutil
from atoll.agent.copying import _unhindered
from atoll.agent.priority import ask_for_slices, be_modest
SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}[platform.machine()]
def slices():
    found = ctypes.create_string_buffer(56)
    assert ctypes.CDLL(None).syscall(SCHED_GETATTR, 0, found, len(found), 0) == 0
    return struct.unpack_from("=Q", found, 24)[0]
ask_for_slices(0)
usual = slices()
with _unhindered():
    pass
unchanged = slices()
be_modest()
found = []
def look():
    io = psutil.Process(threading.get_native_id()).ionice()
    nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    found.append((nice, io.ioclass, io.value, slices()))
look()
with _unhindered():
    urgent = slices()
look()
thread = threading.Thread(target=look)
thread.start()
thread.join()
print(json.dumps([found, usual, unchanged, urgent]))
"""


def test_threads_too_are_modest() -> None:
    command = [sys.executable, "-c", SHOW]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    modest, usual, unchanged, urgent = json.loads(done.stdout)
    best_effort = 2
    for nice, kind, level, slices in modest:
        assert nice >= NICE
        assert (kind, level) == (best_effort, 7)
        assert slices == (SLICE if _has_slices() else usual)
    assert urgent == unchanged == usual


def test_giving_way_leaves_the_priority_as_it_was() -> None:
    asked, found = in_a_process_of_its_own("give_way()")
    there_and_back = [found + 1, found]  # lower, so that the scheduler chooses anew, and as before
    assert asked == (there_and_back if os.geteuid() == 0 else []), "who is not root could not rise"


def test_who_stands_still_for_somebody_or_may_not_rise_again_gives_no_way() -> None:
    asked, found = in_a_process_of_its_own("os.setpriority(os.PRIO_PROCESS, 0, 0); give_way()")
    assert (asked, found) == ([], 0)
    asked, found = in_a_process_of_its_own("priority._may_rise = lambda: False; give_way()")
    assert (asked, found >= NICE) == ([], True)


def in_a_process_of_its_own(then: str) -> tuple[list[int], int]:
    """The priorities that a modest process asks for, and the one it has in the end."""
    program = f"""
import json, os
from atoll.agent import priority
from atoll.agent.priority import be_modest, give_way
be_modest()
real, asked = priority._setpriority, []
priority._setpriority = lambda *args: (asked.append(args[2]), real(*args))
{then}
print(json.dumps([asked, os.getpriority(os.PRIO_PROCESS, 0)]))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, env=environment
    )
    asked, found = json.loads(done.stdout)
    return asked, found


def _has_slices() -> bool:
    major, minor = platform.release().split(".")[:2]
    return (int(major), int(minor)) >= (6, 12)
