"""A jupyter-server that is told to end ends, whatever it was about to do in that moment."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Final

_MANY: Final = 4096


def wake_for_signals(loop: asyncio.AbstractEventLoop) -> None:
    """Have signals wake the loop, so that Python's handlers run at once; from the main thread.

    jupyter_server's handlers (`signal.signal`) run between two steps of Python. A signal that comes when the loop has
    just begun to wait, or to another thread, is not seen before something else wakes the loop: an idle server would be
    killed at the end of its time instead of ending. See `signal.set_wakeup_fd`.
    """
    ours, theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)  # as long as the process lives
    before = signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
    if before != -1:  # somebody sees to it already
        signal.set_wakeup_fd(before)
        os.close(theirs)
        os.close(ours)
    else:
        loop.add_reader(ours, os.read, ours, _MANY)
