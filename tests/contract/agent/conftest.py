"""One containerd for all tests of the agent; they run one after another, in one worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll import oci
from atoll.agent.runtimes.containerd import Containerd

from tests.contract.agent.node import Node, running_node


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    with running_node() as started:
        yield started


@pytest.fixture
def runtime(node: Node) -> Iterator[Containerd]:
    connected = node.runtime()
    yield connected
    connected.close()


@pytest.fixture
def store(tmp_path: Path) -> oci.LayoutStore:
    """Where a test saves to."""
    return oci.LayoutStore(tmp_path / "saved")
