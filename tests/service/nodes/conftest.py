"""The whole service on a real database, and containers that are directories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.checkpoints.settings import CheckpointSettings, NodeSettings
from atoll.kit.home import Home
from atoll.kit.kube.settings import KubernetesSection

from ..whole import no_flights, whole_service
from .cluster import NODE, Cluster
from .kubernetes import Kubernetes, stand_in


@pytest.fixture
def settings() -> dict[str, object]:
    """Sections of settings that a test may change before the service starts."""
    return {}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def kubernetes(tmp_path: Path) -> Iterator[Kubernetes]:
    """An API server, for tests that put `kubernetes.section` into their settings."""
    with stand_in(tmp_path) as found:
        yield found


@pytest.fixture
def cluster(home: Home, settings: dict[str, object]) -> Iterator[Cluster]:
    nodes = NodeSettings.model_validate({"name": NODE, **settings.get("nodes", {})})
    checkpoints = CheckpointSettings.model_validate(settings.get("checkpoints", {}))
    pods = KubernetesSection.model_validate(settings.get("kubernetes", {}))
    sections = {"nodes": nodes, "checkpoints": checkpoints, "kubernetes": pods}
    with no_flights(), whole_service(home, **sections) as url:
        found = Cluster(home, f"{url}/api/v1/")
        yield found
        found.close()
