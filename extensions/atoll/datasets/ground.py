"""What all parts of the datasets capability stand on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from atoll.datasets.settings import DatasetSettings
from atoll.kit.db import Database
from atoll.kit.home import Home


@dataclass(frozen=True, slots=True)
class Ground:
    """Database, places, settings, and the clock."""

    database: Database
    home: Home
    settings: DatasetSettings
    clock: Callable[[], datetime]

    def folder(self, dataset: str) -> Path:
        """Where a dataset's samples are: a folder for each probe, of which one counts."""
        return self.home.datasets / dataset
