"""A new user's home directory, with the demos in it, whether a server or a job is first there."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

_OF_A_VOLUME: Final = frozenset({"lost+found", ".snapshot", ".demos.draft"})
"""What a file system or a storage system puts into a new volume, and an interrupted copy of ours."""


def demos() -> Path | None:
    """The demos: as installed, or of the checkout that this runs from."""
    checkout = Path(__file__).parents[3] / "demos"
    for folder in (checkout, Path(sys.prefix) / "share" / "atoll" / "demos"):
        if folder.is_dir():
            return folder
    return None


def make_home(home: Path, demo_folder: Path | None = None) -> None:
    """Make a user's home where there is none; the demos are copied into it once, and never again."""
    if home.is_dir():
        return
    home.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=home.parent))  # mode 0700
    try:
        source = demo_folder or demos()
        if source is not None:
            _copy(source, draft / "demos")
        draft.rename(home)  # as a whole: an interrupted copy is begun anew
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not home.is_dir():  # else another start of the same user was first
            raise


def furnish(home: Path, demo_folder: Path | None = None) -> None:
    """Put the demos into a home that exists and is empty, as a new volume is; else do nothing.

    Raises OSError where that cannot be done, and leaves nothing half done then.
    """
    source = demo_folder or demos()
    if source is None or any(path.name not in _OF_A_VOLUME for path in home.iterdir()):
        return
    draft = home / ".demos.draft"
    shutil.rmtree(draft, ignore_errors=True)  # of a copy that was interrupted
    try:
        _copy(source, draft)
        draft.rename(home / "demos")
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*", "__pycache__"))
