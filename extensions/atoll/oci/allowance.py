"""How long a piece of work may take, and whether it is still wanted."""

from __future__ import annotations

import time
from collections.abc import Callable

from .errors import CancelledError, TooSlowError

Cancelled = Callable[[], bool]
"""Asked now and then whether to stop."""


class Allowance:
    """The time for one layer, which begins now."""

    def __init__(self, seconds: float, cancelled: Cancelled | None) -> None:
        self._began = time.monotonic()
        self._seconds = seconds
        self._cancelled = cancelled

    def check(self) -> None:
        """Raises `CancelledError` where nobody wants it any more, `TooSlowError` where time is up."""
        if self._cancelled is not None and self._cancelled():
            raise CancelledError("Saving was stopped before the layer was complete.")
        if time.monotonic() - self._began > self._seconds:
            raise TooSlowError(
                f"A layer took longer than {self._seconds:,.0f} seconds.",
                hint="Look at the disk that it is read from and at the store that it goes to.",
            )
