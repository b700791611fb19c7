"""A new user's home directory, with the demos in it, whether a server or a job is first there."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path


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
            ignore = shutil.ignore_patterns(".*", "__pycache__")
            shutil.copytree(source, draft / "demos", ignore=ignore)
        draft.rename(home)  # as a whole: an interrupted copy is begun anew
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not home.is_dir():  # else another start of the same user was first
            raise
