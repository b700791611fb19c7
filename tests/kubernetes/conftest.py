"""The platform in the cluster that KUBECONFIG names, installed once for all of these tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.driver import Platform, installed

pytestmark = pytest.mark.kubernetes


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """The installed platform."""
    assert os.environ.get("KUBECONFIG"), "KUBECONFIG names no cluster"
    with installed([Path(__file__).with_name("values.yaml")]) as platform:
        yield platform
