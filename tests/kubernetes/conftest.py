"""The platform in the cluster that KUBECONFIG names, installed once for all of these tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes import where
from tests.kubernetes.away import lead_to_registry
from tests.kubernetes.driver import Platform, installed

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the cluster."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.kubernetes)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The installed platform."""
    assert os.environ.get("KUBECONFIG"), "KUBECONFIG names no cluster"
    values = tmp_path_factory.mktemp("chart") / "values.yaml"
    values.write_text(where.values(HERE / "values.yaml"), "utf-8")
    with installed([values]) as platform:
        lead_to_registry(platform)
        yield platform
