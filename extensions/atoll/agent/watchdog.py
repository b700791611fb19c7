"""Thaws a cgroup if the agent that froze it dies or hangs. A program of its own: it imports nothing of ours.

Started by `freeze` as `python -I -S watchdog.py LIMIT_S FILE VALUE RECORD`, in a session of its own,
with a pipe from the agent as standard input and one to it as standard output. It says `r` when it
watches. Then: `d` from the agent means done, and it goes; the end of the pipe (the agent was killed)
or LIMIT_S seconds mean thaw: VALUE is written to FILE, RECORD is removed, and `t` tells the agent.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import time

_AGAIN_S = 0.05
_GIVE_UP_S = 60.0


def thaw(file: str, value: str) -> bool:
    """Whether the group is thawed; one that is gone is."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENODEV)
    return True


def survive(score: str = "/proc/self/oom_score_adj") -> None:
    """Asks the kernel to spare us where the agent's memory ends, and the agent with it.

    The kubelet has it end all processes of a container then (`memory.oom.group` of cgroup v2), but those
    with this score (Linux, admin-guide/cgroup-v2).
    """
    try:
        with open(score, "w") as file:  # noqa: PTH123 - pathlib would triple the time to start
            file.write("-1000")
    except OSError:
        return  # CAP_SYS_RESOURCE may do that; without it the next agent thaws


def main() -> None:
    """Watch until one of the three things happens."""
    limit_s, file, value, record = float(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    survive()
    os.write(1, b"r")
    ready, _, _ = select.select([0], [], [], limit_s)
    if ready and os.read(0, 1) == b"d":
        return
    until = time.monotonic() + _GIVE_UP_S
    while not thaw(file, value) and time.monotonic() < until:
        time.sleep(_AGAIN_S)
    if os.path.exists(record):  # noqa: PTH110
        os.unlink(record)  # noqa: PTH108
    try:
        os.write(1, b"t")
    except OSError:
        return  # the agent is dead: that is why we are here


if __name__ == "__main__":
    main()
