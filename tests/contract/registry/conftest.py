"""One registry for all tests that need nothing special of it; a repository of its own for each."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import pytest
from atoll.oci.registry import RegistryStore

from .blobs import PIECE
from .faults import Faults, proxy
from .servers import Running, started


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses."""
    return "t/" + re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:120].strip("-")


@pytest.fixture
def store(registry: Running, repository: str) -> Iterator[RegistryStore]:
    with RegistryStore(registry.reached(), repository) as opened:
        yield opened


@pytest.fixture
def faults(registry: Running) -> Iterator[Faults]:
    with proxy(registry.port) as running:
        yield running


@pytest.fixture
def broken(faults: Faults, registry: Running, repository: str) -> Iterator[RegistryStore]:
    """The store as it is seen through the proxy."""
    reached = dataclasses.replace(registry.reached(chunk=PIECE), address=faults.address)
    with RegistryStore(reached, repository) as store:
        yield store
