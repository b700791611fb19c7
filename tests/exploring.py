"""How many random examples the property tests make, and which.

`make test` makes a few, the same ones in every run, so that it fails because of a change alone.
`ATOLL_EXAMPLES=N` makes N times as many, the same ones too: `make test-examples`, which CI runs.
`ATOLL_EXPLORE=N` makes N times as many, new ones in every run: `make test-slow` looks for more.
"""

from __future__ import annotations

import os
from typing import Final

from hypothesis import settings

_NEW: Final = int(os.environ.get("ATOLL_EXPLORE", "0"))
TIMES: Final = _NEW or int(os.environ.get("ATOLL_EXAMPLES", "1"))

settings.register_profile("atoll", deadline=None, derandomize=not _NEW)
settings.load_profile("atoll")


def examples(few: int) -> int:
    """So many, or as many times more as are asked for."""
    return few * TIMES
