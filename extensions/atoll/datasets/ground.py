"""What all parts of the datasets capability stand on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from atoll.datasets import locations
from atoll.datasets.models import DatasetStatus, Location
from atoll.datasets.settings import DatasetSettings
from atoll.datasets.store import DatasetRow
from atoll.kit.db import Database
from atoll.kit.home import Home
from atoll.kit.names import new_id


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

    def placed(self, location: Location, owner: str) -> dict[str, object]:
        """The location as it is kept; raises InvalidError and ForbiddenError where it may not be."""
        where = locations.allowed(owner, self.home, self.settings)
        return locations.placed(location, where).model_dump(mode="json")

    def there(self, location: Location, owner: str) -> dict[str, object]:
        """The same of a path that somebody wrote; raises InvalidError also where it begins in a
        folder that has nothing there."""
        where = locations.allowed(owner, self.home, self.settings)
        found = locations.placed(location, where)
        locations.check_there(location.path, found, where)
        return found.model_dump(mode="json")

    def new(self, owner: str, name: str, location: dict[str, object]) -> DatasetRow:
        """A dataset that is to be looked at as soon as it is added."""
        moment = self.clock()
        return DatasetRow(
            id=new_id("ds"),
            owner=owner,
            name=name,
            location=location,
            status=DatasetStatus.PROBING,
            probe_at=moment,
            created_at=moment,
        )
