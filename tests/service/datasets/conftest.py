"""The datasets service on a real database and real files, served over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.datasets.settings import DatasetSettings
from atoll.kit.home import Home

from .platform import Atoll, serving


@pytest.fixture
def settings() -> DatasetSettings:
    return DatasetSettings()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def atoll(home: Home, settings: DatasetSettings) -> Iterator[Atoll]:
    with serving(home, settings) as atoll:
        yield atoll
