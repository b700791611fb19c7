"""What every environment directory has of its own: interpreter links, activation, pip, kernel.

None of it is saved, since it names this place and this platform: it is made anew at each restore.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Final
from venv import EnvBuilder

from atoll.checkpoints.base import PlatformBase
from atoll.kit.files import read_bounded

PTH: Final = "_atoll_platform.pth"
"""Puts the platform's packages behind the environment's own."""

PIP: Final = b"""#!/bin/sh
exec "$(dirname -- "$(realpath -- "$0")")/python" -m pip "$@"
"""
PIP_NAMES: Final = ("pip", "pip3")

_MADE: Final = {
    *("pyvenv.cfg", "python", "python3", f"python3.{sys.version_info.minor}"),
    *("activate", "activate.csh", "activate.fish", "Activate.ps1"),
}
"""What venv writes, and cannot write where a directory is."""
_SCRIPT_MOST: Final = 1 << 20  # bytes
_NO_SUGGESTIONS: Final = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_LINK_MODE": "copy"}
"""The platform's pip is the operator's to upgrade. Links into uv's cache would let an edit of a
file in one environment change it in all others."""


def site_packages(root: Path, base: PlatformBase) -> Path:
    """Where the environment at `root` keeps its packages."""
    return root / "lib" / f"python{base.python_version}" / "site-packages"


def make(root: Path, final: Path, base: PlatformBase) -> None:
    """Make or renew the skeleton at `root`, which will be used at `final`."""
    for path in (root / "pyvenv.cfg", *(root / "bin").glob("python*"), *_activation(root)):
        if path.is_symlink():
            path.unlink()  # the platform may have moved since, and nothing is written through a link
        elif path.is_dir() and path.name in _MADE:
            shutil.rmtree(path)
    EnvBuilder(symlinks=True, with_pip=False).create(root)
    _write(
        root / "pyvenv.cfg",
        f"home = {base.interpreter.parent}\n"
        "include-system-site-packages = false\n"
        f"version = {base.python_version}\n"
        "relocatable = true\n",  # uv then writes scripts that work after a move
    )
    for path in _activation(root):
        if (found := read_bounded(path, 0, _SCRIPT_MOST)) is not None:
            path.write_bytes(found[0].replace(os.fsencode(root), os.fsencode(final)))
    lines = [f"import site; site.addsitedir({str(folder)!r})\n" for folder in base.site_packages]
    _write(site_packages(root, base) / PTH, "".join(lines))
    for name in PIP_NAMES:
        script = root / "bin" / name
        if not os.path.lexists(script):
            script.write_bytes(PIP)
            script.chmod(0o755)


def _activation(root: Path) -> list[Path]:
    return list((root / "bin").glob("[aA]ctivate*"))


def make_kernel(beside: Path, root: Path) -> None:
    """The kernelspec `python3` below `beside`, whose kernel runs in the environment at `root`."""
    folder = beside / "kernels" / "python3"
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        # absolute: jupyter_client replaces a bare `python` by the server's own
        "argv": [str(root / "bin/python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "metadata": {"debugger": True},
    }
    _write(folder / "kernel.json", json.dumps(document, indent=1))
    for logo in Path(sys.prefix, "share/jupyter/kernels/python3").glob("logo-*"):
        _write(folder / logo.name, logo.read_bytes())


def variables(root: Path, beside: Path, base: PlatformBase, path: str) -> dict[str, str]:
    """Environment variables of processes in the environment; `path` is the PATH that they extend."""
    first = [str(root / "bin"), str(base.prefix / "bin")]
    rest = [part for part in path.split(os.pathsep) if part and part not in first]
    return {
        "PATH": os.pathsep.join(first + rest),
        "VIRTUAL_ENV": str(root),
        "JUPYTER_PATH": os.pathsep.join(
            str(folder)
            for folder in (beside, root / "share/jupyter", base.prefix / "share/jupyter")
        ),
        "JUPYTER_CONFIG_PATH": str(base.prefix / "etc/jupyter"),
        **_NO_SUGGESTIONS,
    }


def _write(path: Path, content: str | bytes) -> None:
    """Replace a file as a whole: a process may be reading it."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(content.encode() if isinstance(content, str) else content)
    draft.replace(path)
