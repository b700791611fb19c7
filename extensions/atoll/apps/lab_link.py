"""In a checkout: makes the virtual environment use the lab extension as it is built, not a copy.

An editable install copies shared data once; after a build the copy would be old.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import atoll

_PACKAGE = Path(atoll.__file__).parent


def link(prefix: Path, package: Path = _PACKAGE) -> None:
    """Link the built extension the server extension's switch and the lab's defaults into `prefix`'s Jupyter paths."""
    _point(prefix / "share/jupyter/labextensions/@atoll/lab", package / "labextension")
    _point(
        prefix / "etc/jupyter/jupyter_server_config.d/atoll.json",
        package / "server" / "jupyter_server_config.json",
    )
    _point(
        prefix / "share/jupyter/lab/settings/overrides.d/atoll.json",
        package / "server" / "lab_settings.json",
    )


def _point(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    else:
        link.unlink(missing_ok=True)
    link.symlink_to(target)


if __name__ == "__main__":
    link(Path(sys.prefix))
