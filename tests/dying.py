"""A process under test that is killed at a moment of its own, where the test says."""

from __future__ import annotations

import functools
import importlib
import os
import signal
from collections.abc import Callable
from pathlib import Path


def killed() -> None:
    """kill -9 of this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(place: str, armed: Path | None = None, die: Callable[[], None] = killed) -> None:
    """Have this process killed before or after a function of the product, once `armed` exists.

    `place` is `module:function:before` or `module:Class.method:after`.
    """
    module, name, when = place.split(":")
    owner: object = importlib.import_module(module)
    *parents, last = name.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    real = getattr(owner, last)

    @functools.wraps(real)
    def deadly(*args: object, **options: object) -> object:
        result = real(*args, **options) if when == "after" else None
        if armed is None or armed.exists():
            die()
        return result if when == "after" else real(*args, **options)

    setattr(owner, last, deadly)
