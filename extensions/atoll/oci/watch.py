"""Noticing in which directories something happens, so that a frozen container waits for those alone."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from threading import Thread

from .errors import SourceError

_EVENT = struct.Struct("iIII")  # <sys/inotify.h>: watch, what, cookie, length of the name
_READ = 1 << 16
_MODIFY, _ATTRIB, _CLOSE_WRITE = 0x2, 0x4, 0x8
_MOVED, _CREATE, _DELETE = 0xC0, 0x100, 0x200
_ONLY_DIRECTORIES = 0x01000000
_OVERFLOW = 0x4000
_WANTED = _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED | _CREATE | _DELETE | _ONLY_DIRECTORIES
_PARTS = ("lower", "upper", "work", "merged")
_DETACH = 2  # <sys/mount.h>: MNT_DETACH
_system = ctypes.CDLL(None, use_errno=True)


class Watch:
    """The directories of one tree in which anything was written, made, renamed or removed.

    A walk that is given it adds each directory before it lists it, so nothing falls in between. What
    is written through a shared memory map is noticed when the map's file is closed, not before:
    whoever knows the processes must name the files that are mapped for writing at the cut
    (`changed_anyway`). Use it as a context; a thread of its own takes the events.
    """

    def __init__(self) -> None:
        self._inotify = _checked(_system.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
        self._stop_read, self._stop_write = os.pipe()
        self._paths: dict[int, bytes] = {}
        self._events: set[int] = set()
        self._lost = False
        self._thread = Thread(target=self._collect, name="watch", daemon=True)
        self._thread.start()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._stop_write, b".")
        self._thread.join()
        for descriptor in (self._inotify, self._stop_read, self._stop_write):
            os.close(descriptor)

    def add(self, path: bytes, descriptor: int) -> None:
        """Watches the open directory `path` from now on."""
        place = b"/proc/self/fd/%d" % descriptor
        number = _system.inotify_add_watch(self._inotify, place, _WANTED)
        if number < 0 or self._paths.setdefault(number, path) != path:
            self._lost = True  # the system's limit is reached, or a directory has moved
            return

    def touched(self) -> frozenset[bytes] | None:
        """The directories so far; None where that is not known, and all must be looked at."""
        self._take()
        if self._lost:
            return None
        return frozenset(self._paths[number] for number in set(self._events))

    def _collect(self) -> None:
        while True:
            ready, _, _ = select((self._inotify, self._stop_read), (), ())
            if self._stop_read in ready:
                return
            self._take()

    def _take(self) -> None:
        with suppress(BlockingIOError):
            while data := os.read(self._inotify, _READ):
                at = 0
                while at < len(data):
                    number, what, _, length = _EVENT.unpack_from(data, at)
                    at += _EVENT.size + length
                    if what & _OVERFLOW:
                        self._lost = True
                    else:
                        self._events.add(number)


def notices_writes(scratch: Path) -> bool:
    """Whether this kernel tells of what is written through an overlay, tried out in `scratch`.

    Older ones tell of names that come and go, but not of writing into a file that is there. As root;
    raises `SourceError` where no overlay can be mounted. `clear_trial` is for where it was killed.
    """
    with _mounted(scratch) as top:
        file = top / "merged" / "file"
        file.touch()
        descriptor = os.open(top / "upper", os.O_RDONLY | os.O_DIRECTORY)
        try:
            with Watch() as watch:
                watch.add(b"", descriptor)
                with file.open("r+b", buffering=0) as opened:
                    opened.write(b"x")
                    return watch.touched() == frozenset((b"",))
        finally:
            os.close(descriptor)


def clear_trial(scratch: Path) -> None:
    """Removes the directory in which that was tried out by a process that was killed meanwhile, or not."""
    _system.umount2(os.fsencode(scratch / "merged"), _DETACH)  # there is nothing, mostly
    shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _mounted(top: Path) -> Iterator[Path]:
    for part in _PARTS:
        (top / part).mkdir()
    options = f"lowerdir={top}/lower,upperdir={top}/upper,workdir={top}/work"
    target = os.fsencode(top / "merged")
    if _system.mount(b"overlay", target, b"overlay", 0, os.fsencode(options)) < 0:
        reason = os.strerror(ctypes.get_errno())
        raise SourceError(f"No overlay can be mounted to try it out ({reason}).")
    try:
        yield top
    finally:
        _checked(_system.umount2(target, 0))
        for part in _PARTS:
            shutil.rmtree(top / part)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
