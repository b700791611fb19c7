"""The program of a user's server in a container: `jupyterhub-singleuser` of the user image.

It looks after the home, which is a volume there, and then is JupyterHub's single-user server. A home that
is full or may not be written to keeps nobody from working: its owner is told, and can put it right.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from atoll.kit.homes import furnish
from atoll.server.platform import NOTICE

_PROBE_BYTES: Final = 64 * 1024
"""More than a file system gives from what it keeps aside, less than anybody misses."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def main() -> None:
    """Serve until told to end."""
    # 1.5 s of import for a format check of JSON schemas that nothing here asks for
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    os.environ.update(prepared(Path.home(), os.environ))
    from jupyterhub.singleuser import main as serve

    serve()


def prepared(home: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Put the demos into a new home; the variables to add where the home does not take what is written."""
    try:
        furnish(home)
        _write_something(home)
    except OSError as error:
        said = notice(home, error)
        print(f"atoll: {said}", file=sys.stderr)
        return {NOTICE: said, **_elsewhere(home, environ)}
    return {}


def notice(home: Path, error: OSError) -> str:
    """What the user is told: what is wrong with the home, what that means, and what to do."""
    if error.errno in _FULL:
        return (
            f"Your home ({home}) is full: files in it cannot be saved. Your server runs all the same."
            " Delete what you do not need (`du -ah ~ | sort -h | tail` shows what is large),"
            " then restart your server."
        )
    return (
        f"Your home ({home}) cannot be written to ({error.strerror or error}): files in it cannot be"
        " saved. Your server runs all the same. Ask whoever runs the platform."
    )


def _write_something(home: Path) -> None:
    """Raises OSError where the home takes nothing."""
    with tempfile.TemporaryFile(dir=home) as probe:
        probe.write(b"\0" * _PROBE_BYTES)
        probe.flush()
        os.fsync(probe.fileno())


def _elsewhere(home: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What Jupyter and IPython must write goes to a folder of the container; the home's is still read."""
    place = Path(tempfile.gettempdir(), "atoll-home")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700)
    kept = environ.get("JUPYTER_DATA_DIR") or str(home / ".local/share/jupyter")
    found = [part for part in environ.get("JUPYTER_PATH", "").split(os.pathsep) if part]
    return {
        # IPython makes it: where it is, Jupyter looks for what to migrate, and notes that in the home
        "IPYTHONDIR": str(place / "ipython"),
        "JUPYTER_DATA_DIR": str(place / "jupyter"),
        "JUPYTER_PATH": os.pathsep.join([*found, kept]),
    }


if __name__ == "__main__":
    main()
