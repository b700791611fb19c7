"""Confining a probe with Landlock: from then on it reads its source and its code, and nothing else.

The check of a path and its use are two moments; and readers of foreign files have bugs. Where the
kernel has Landlock (Linux 5.13), neither opens anything: not a link that is turned around meanwhile,
not a file that makes a reader open others. Elsewhere the checks in `locations` stand alone.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls: the same numbers on every architecture
_ASK_VERSION: Final = 1
_BENEATH: Final = 1
_NO_NEW_PRIVILEGES: Final = 38

_READ_FILE: Final = 1 << 2
_READ: Final = _READ_FILE | 1 << 3  # and folders
_RUN: Final = _READ | 1 << 0
_EVERYTHING: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1}  # by version
_EVERYTHING_SINCE_3: Final = (1 << 15) - 1
_TCP: Final = 0b11  # listening and connecting; since version 4

_SYSTEM: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo",
                  "/etc/ld.so.cache", "/dev/null", "/dev/urandom", "/sys/fs/cgroup")  # fmt: skip
"""What the interpreter and its libraries open when they are loaded, and to learn their limits."""


class _Rules(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def confine(readable: Iterable[int | Path], writable: Path) -> bool:
    """Confine this thread, and those it starts, for good; False where the kernel cannot.

    `readable` are files and folders, as descriptors or paths; `writable` is one folder.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE, None, 0, _ASK_VERSION)
    if version < 1:
        return False
    everything = _EVERYTHING.get(version, _EVERYTHING_SINCE_3)
    rules = _Rules(everything, _TCP if version >= 4 else 0)
    size = ctypes.sizeof(rules) if version >= 4 else 8
    ruleset = _checked(libc.syscall(_CREATE, ctypes.byref(rules), size, 0))
    try:
        for place in readable:
            _allow(libc, ruleset, place, _READ)
        code = {*sys.path, sys.prefix, sys.base_prefix, *_SYSTEM, f"/proc/{os.getpid()}"}
        for folder in filter(os.path.exists, code):
            _allow(libc, ruleset, Path(folder), _RUN)
        _allow(libc, ruleset, writable, everything)
        _checked(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        _checked(libc.syscall(_RESTRICT, ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def _allow(libc: ctypes.CDLL, ruleset: int, place: int | Path, access: int) -> None:
    descriptor = place if isinstance(place, int) else os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112  # a link to no path
            access &= _READ_FILE | 1 << 0 | 1 << 1
        beneath = _Beneath(access, descriptor)
        _checked(libc.syscall(_ADD, ruleset, _BENEATH, ctypes.byref(beneath), 0))
    finally:
        if not isinstance(place, int):
            os.close(descriptor)


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
