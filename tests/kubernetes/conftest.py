"""The platform in the cluster that KUBECONFIG names, installed once for all of these tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.away import lead_to_registry
from tests.kubernetes.driver import Platform, installed

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the cluster."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.kubernetes)


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """The installed platform."""
    assert os.environ.get("KUBECONFIG"), "KUBECONFIG names no cluster"
    with installed([HERE / "values.yaml"]) as platform:
        lead_to_registry(platform)
        yield platform
