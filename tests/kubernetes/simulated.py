"""What a test cluster may have that is simulated: nodes without a machine, GPUs that are numbers."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.kubernetes.driver import ROOT

_TOOLS: Final = Path(os.environ.get("IMAGE_BUILDER", ROOT / "../shared/kube/image")).parent


@contextmanager
def nodes(count: int) -> Iterator[list[str]]:
    """So many nodes, on which pods run at once and have no container."""
    with _simulated("nodes", str(count), "0"):
        yield [f"kwok-{number}" for number in range(count)]


@contextmanager
def silence() -> Iterator[None]:
    """Meanwhile no simulated node answers, nor does what becomes of its pods."""
    run = Path(os.environ["KUBECONFIG"]).parent
    process = int((run / "pid" / "kwok").read_text())
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@contextmanager
def gpus(count: int, node: str) -> Iterator[None]:
    """The node has so many GPUs, as the scheduler believes."""
    with _simulated("gpus", str(count), "0", node):
        yield


@contextmanager
def _simulated(tool: str, now: str, afterwards: str, *more: str) -> Iterator[None]:
    program = _TOOLS / tool
    if not program.exists():
        pytest.skip(f"nothing here simulates {tool}")
    subprocess.run([program, now, *more], check=True)
    try:
        yield
    finally:
        subprocess.run([program, afterwards, *more], check=True)
