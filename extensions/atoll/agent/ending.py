"""Waiting for what may be left behind at any moment, no longer than until the agent is told to end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Final, TypeVar

HEED_S: Final = 0.2
"""How soon an agent that waits heeds that it is told to end."""

T = TypeVar("T")


def unless(ending: threading.Event, ask: Callable[[], T]) -> T | None:
    """What `ask` gives or raises; None as soon as `ending` is set, whatever is answered later.

    For what only reads: it is done by a thread that the process does not wait for when it ends.
    """
    answer: Future[T] = Future()

    def answered() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            answer.set_exception(error)

    threading.Thread(target=answered, name="asking", daemon=True).start()
    while not wait([answer], timeout=HEED_S).done:
        if ending.is_set():
            return None
    return answer.result()
