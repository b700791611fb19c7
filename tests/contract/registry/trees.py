"""Small images for a registry, made of real files."""

from __future__ import annotations

import os
import random
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from atoll.oci.directory import DirectorySource
from atoll.oci.image import Descriptor
from atoll.oci.layer import LayerResult, write_layer
from atoll.oci.publish import append_layer, create_base
from atoll.oci.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MIB = 1 << 20


def run(*command: str | Path) -> str:
    """The output of a program that must succeed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@cache
def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that do not compress, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def tree(root: Path, size: int = 100_000, seed: int = 1) -> Path:
    """A directory with a few files, one of them of `size` bytes."""
    (root / "bin").mkdir(parents=True)
    (root / "bin/tool").write_bytes(b"#!/bin/sh\necho hello\n")
    (root / "bin/tool").chmod(0o755)
    (root / "data").write_bytes(noise(size, seed))
    (root / "link").symlink_to("bin/tool")
    os.link(root / "data", root / "same")
    return root


def saved(store: Store, root: Path, name: str = "") -> tuple[Descriptor, LayerResult]:
    """Saves a directory as an image on an empty base, in one pass into the store."""
    base = create_base(store, name and f"{name}-base", labels={}, created=NOW)
    layer = write_layer(DirectorySource(root, owner=(0, 0)), store)
    return append_layer(store, base.digest, layer, name=name, created=NOW), layer


def contents(root: Path) -> dict[str, object]:
    """What is in a directory, for comparison: kinds, modes, bytes, link targets."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name, mode = str(path.relative_to(root)), path.lstat().st_mode
        held = (
            path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        )
        found[name] = (mode, held)
    return found
