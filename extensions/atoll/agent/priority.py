"""Working so that neighbours on the node notice little of it.

Measured on 2 busy cores with a neighbour that hashes 1 MB and reads 4 KB from the disk, over and over,
while 1.3 GB of site-packages are saved from a cold cache (medians of 4 rounds; without, with this):
hashing p99 8.0 and 2.7 ms, reading p50 2.1 and 0.38 ms, p99 39 and 14 ms; saving 46 MB/s both times.
The scheduler's batch and idle classes were no better for the neighbour, and slower.
"""

from __future__ import annotations

import os
from typing import Final

import psutil

NICE: Final = 10
"""A tenth of a neighbour's share of a busy CPU (sched(7): each step is a factor of 1.25)."""
_LOWEST: Final = 7  # of the eight levels inside the best-effort class; `idle` could wait for ever


def be_modest() -> None:
    """Low CPU and disk priority for this thread, and for threads and processes it starts from now on."""
    if os.getpriority(os.PRIO_PROCESS, 0) < NICE:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    psutil.Process().ionice(psutil.IOPRIO_CLASS_BE, _LOWEST)
