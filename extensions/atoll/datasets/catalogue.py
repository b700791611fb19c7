"""The platform's own datasets: those that the settings offer, and `flights` and `weather`."""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from atoll.datasets import store
from atoll.datasets.ground import Ground
from atoll.datasets.models import EVERYONE, PLATFORM, DatasetStatus, Location
from atoll.datasets.seed import FOLDER, SEEDS, Seed, package_data, write_files
from atoll.datasets.settings import Offered
from atoll.datasets.store import DatasetRow, SeedRow
from atoll.kit.errors import AtollError, ConflictError
from atoll.kit.names import checked_name

log = logging.getLogger(__name__)


def keep(ground: Ground) -> None:
    """Register each once in the platform's life: one that was removed stays so.

    Where its source is follows the settings, and a home that has moved; who may use it is up to the
    administrators. What cannot be offered is logged. Raises AtollError where the files of `flights`
    and `weather` cannot be written.
    """
    for name, one in ground.settings.offered.items():
        try:
            _offer(ground, checked_name(name, "dataset"), one)
        except AtollError as error:
            log.warning("the dataset %s of the settings is not offered: %s", name, error)
    _seed(ground)


def _offer(ground: Ground, name: str, one: Offered) -> None:
    location = Location(path=one.path, table=one.table, options=one.options)
    row = ground.new(PLATFORM, name, ground.placed(location, PLATFORM))
    row.description, row.wanted_format = one.description, one.format
    if not _registered(ground, row, one.grants):
        _follow(ground, row)


def _registered(ground: Ground, row: DatasetRow, grants: tuple[str, ...]) -> bool:
    """Whether it was not registered before: it is now, unless an administrator has one of that name."""
    try:
        with ground.database.write() as session:
            if session.get(SeedRow, row.name) is not None:
                return False
            if store.find_owned(session, PLATFORM, row.name) is None:
                session.add(SeedRow(name=row.name, dataset_id=row.id))
                store.add_dataset(session, row, grants)
    except IntegrityError:  # another replica made it
        return False
    return True


def _follow(ground: Ground, told: DatasetRow) -> None:
    """Have the dataset be as the settings say; what was seen of another source is forgotten.

    Another one of that name is an administrator's own, with grants for another source; so are the
    package's, which everyone may use. Raises ConflictError for those.
    """
    with ground.database.write() as session:
        row = store.find_seeded(session, told.name)
        if row is None:
            return
        files = [ground.home.data / FOLDER / one.file for one in SEEDS]
        if row.location != told.location and any(_packaged(row, file) for file in files):
            raise ConflictError(
                "The platform has its own under this name.", hint="Give the other one another name."
            )
        if (row.location, row.wanted_format) != (told.location, told.wanted_format):
            _look_anew(
                ground,
                session,
                row,
                location=told.location,
                wanted_format=told.wanted_format,
                **store.UNSEEN,
            )
        if row.description != told.description:
            store.change_dataset(session, row, description=told.description)


def _seed(ground: Ground) -> None:
    """`flights` and `weather`, where the package that holds them is installed."""
    with ground.database.read() as session:
        missing = [one for one in SEEDS if session.get(SeedRow, one.name) is None]
    data, folder = package_data(), ground.home.data / FOLDER
    for one in SEEDS:
        _find_again(ground, one, folder / one.file)
    if not missing or data is None:
        return
    write_files(data, folder)
    for one in missing:
        location: dict[str, object] = {"path": str(folder / one.file), "table": None, "options": {}}
        row = ground.new(PLATFORM, one.name, location)
        row.description, row.wanted_format = one.description, one.format
        _registered(ground, row, (EVERYONE,))


def _find_again(ground: Ground, one: Seed, path: Path) -> None:
    """Have a seed's row say where its file is, where the home has moved since."""
    with ground.database.write() as session:
        row = store.find_seeded(session, one.name)
        if row is None or row.location["path"] == str(path):
            return
        if not _packaged(row, path):
            return  # an administrator has changed where it is, or the settings offer it
        _look_anew(ground, session, row, location={**row.location, "path": str(path)})


def _packaged(row: DatasetRow, file: Path) -> bool:
    """Whether its source is this file of the package's, here or where the home was before."""
    return Path(str(row.location["path"])).parts[-3:] == file.parts[-3:]


def _look_anew(ground: Ground, session: Session, row: DatasetRow, **values: object) -> None:
    moment = ground.clock()
    store.change_dataset(session, row, **values, status=DatasetStatus.PROBING, probe_at=moment)
