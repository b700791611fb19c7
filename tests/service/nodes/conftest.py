"""The whole service on a real database, and containers that are directories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.checkpoints.settings import CheckpointSettings, NodeSettings
from atoll.kit.home import Home

from ..whole import no_flights, whole_service
from .cluster import NODE, Cluster


@pytest.fixture
def settings() -> dict[str, object]:
    """Sections of settings that a test may change before the service starts."""
    return {}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def cluster(home: Home, settings: dict[str, object]) -> Iterator[Cluster]:
    nodes = NodeSettings.model_validate({"name": NODE, **settings.get("nodes", {})})
    checkpoints = CheckpointSettings.model_validate(settings.get("checkpoints", {}))
    with no_flights(), whole_service(home, nodes=nodes, checkpoints=checkpoints) as url:
        found = Cluster(home, f"{url}/api/v1/")
        yield found
        found.close()
