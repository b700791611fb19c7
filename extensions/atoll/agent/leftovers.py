"""What lies in an agent's state directory for a moment only, and goes at the next start if it was killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from atoll.agent import processes
from atoll.oci.watch import clear_trial

_DRAFT: Final = ".draft"
_TRIAL: Final = ".trial"


def draft_of(path: Path) -> Path:
    """Where this process writes what then replaces `path`."""
    return path.with_name(f"{path.name}.{processes.mine()}{_DRAFT}")


@contextmanager
def trial(state: Path) -> Iterator[Path]:
    """A directory for this process to try something out in; what is mounted below it goes, too."""
    directory = state / f"{processes.mine()}{_TRIAL}"
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.mkdir(mode=0o700)
    try:
        yield directory
    finally:
        clear_trial(directory)


def remove_leftovers(state: Path) -> list[Path]:
    """Removes what processes left in `state` that were killed; what it was."""
    removed = []
    for path in sorted(state.glob("*")):
        owner = ".".join(path.stem.split(".")[-3:])
        if path.suffix not in (_DRAFT, _TRIAL) or not processes.ended(owner):
            continue
        if path.suffix == _TRIAL:
            clear_trial(path)
        else:
            path.unlink(missing_ok=True)
        removed.append(path)
    return removed
