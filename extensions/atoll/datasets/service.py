"""The rules of datasets, and how the capability is put together.

The composition root builds it so (everything here blocks; routes and reconcilers use threads)::

    datasets = Datasets(database, home, settings.datasets, jobs)   # Reads: records what jobs read
    api.state.datasets = datasets
    api.include_router(atoll.datasets.routes.router)               # prefix /api/v1 is in the router
    for reconciler in datasets.reconcilers():                      # name: "dataset"
        supervise(reconciler.name, run)  # run_reconciler, each time with a new queue
    asyncio.to_thread(datasets.seed)                               # the platform's own

`MIGRATIONS` is the folder for `Database.upgrade`; settings: `DatasetSettings`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from atoll.datasets import catalogue, preview, store, views
from atoll.datasets.ground import Ground
from atoll.datasets.models import (
    PLATFORM,
    Access,
    Dataset,
    DatasetChange,
    DatasetRequest,
    DatasetStatus,
    GrantRequest,
)
from atoll.datasets.readers import readable
from atoll.datasets.reconciler import DatasetReconciler
from atoll.datasets.sample import PARQUET, PREVIEW
from atoll.datasets.settings import DatasetSettings
from atoll.datasets.store import DatasetRow
from atoll.kit.db import Database, now
from atoll.kit.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    UnavailableError,
)
from atoll.kit.home import Home
from atoll.kit.hub import ADMIN, Caller
from atoll.kit.loops import Reconciler
from atoll.kit.names import checked_name, is_id
from atoll.kit.paging import Page

MIGRATIONS: Final = Path(__file__).parent / "migrations"

T = TypeVar("T")

_TRIES: Final = 5  # a sample that is replaced while it is opened is looked for again


class Reads(Protocol):
    """What datasets need of jobs: a record of what a job has read."""

    def record_read(self, job_id: str, dataset_id: str) -> None:
        """The job has asked for access to the dataset."""
        ...


class Datasets:
    """Registering, finding, granting and serving datasets; looking at them is the reconciler's."""

    def __init__(
        self,
        database: Database,
        home: Home,
        settings: DatasetSettings,
        reads: Reads,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self.ground = Ground(database, home, settings, clock)
        self._database = database
        self._reads = reads

    def reconcilers(self) -> list[Reconciler]:
        """The loop that has sources looked at."""
        return [DatasetReconciler(self.ground)]

    def page(
        self, caller: Caller, name: str | None, cursor: str | None, limit: int
    ) -> Page[Dataset]:
        """What the caller may use, newest first; administrators see all."""
        principals = None if caller.admin else caller.principals
        after = cursor if cursor is not None and is_id(cursor) else None
        with self._database.read() as session:
            rows = store.datasets_page(
                session, caller.name, principals, name=name, after=after, limit=limit
            )
            grants = store.grants_by_dataset(session, [row.id for row in rows[:limit]])
            items = [views.dataset_view(row, grants[row.id], caller) for row in rows[:limit]]
        return Page(items=items, next=rows[limit - 1].id if len(rows) > limit else None)

    def show(self, caller: Caller, ref: str) -> Dataset:
        """One dataset that the caller may use."""
        with self._database.read() as session:
            return _view(session, _found(session, caller, ref), caller)

    def add(self, caller: Caller, request: DatasetRequest) -> Dataset:
        """Register a dataset; it is probed from now on.

        Raises InvalidError where nothing is there, ForbiddenError where the location is not
        allowed, and ConflictError where the owner has one of this name.
        """
        if request.platform:
            caller.require(ADMIN)
        name = checked_name(request.name, "dataset")
        owner = PLATFORM if request.platform else caller.name
        wanted = readable(request.format)
        row = self.ground.new(owner, name, self.ground.there(request.location, owner))
        row.description, row.wanted_format = request.description, wanted
        try:
            with self._database.write() as session:
                if store.find_owned(session, owner, name) is not None:
                    raise _taken(owner, name)
                store.add_dataset(session, row, request.grants)
                return _view(session, row, caller)
        except IntegrityError as error:  # another replica's request was a moment earlier
            raise _taken(owner, name) from error

    def change(self, caller: Caller, ref: str, change: DatasetChange) -> Dataset:
        """Say anew where the source is and how it is read, by who manages it.

        What was known of the source before is forgotten: it would be told of another one.
        Raises InvalidError, and ForbiddenError where the location is not allowed.
        """
        with self._database.write() as session:
            row = _managed(session, caller, ref)
            values: dict[str, object] = {}
            if change.location is not None:
                values["location"] = self.ground.there(change.location, row.owner)
            if "format" in change.model_fields_set:
                values["wanted_format"] = readable(change.format)
            if values:
                values |= {**store.UNSEEN, "status": DatasetStatus.PROBING}
                store.change_dataset(session, row, **values, probe_at=self.ground.clock())
            return _view(session, row, caller)

    def probe(self, caller: Caller, ref: str) -> Dataset:
        """Have the source looked at again, by who manages it. A look that goes on may have seen what
        was before: it does not count any more."""
        with self._database.write() as session:
            row = _managed(session, caller, ref)
            moment = self.ground.clock()
            store.change_dataset(session, row, status=DatasetStatus.PROBING, probe_at=moment)
            return _view(session, row, caller)

    def grant(self, caller: Caller, ref: str, request: GrantRequest) -> Dataset:
        """Replace who besides the owner may use the dataset."""
        with self._database.write() as session:
            row = _managed(session, caller, ref)
            store.replace_grants(session, row, request.grants)
            return _view(session, row, caller)

    def remove(self, caller: Caller, ref: str) -> None:
        """Remove the dataset and its sample; the source is left alone."""
        with self._database.write() as session:
            row = _managed(session, caller, ref)
            store.remove_dataset(session, row)
        # What a probe that still runs writes meanwhile is swept up after it.
        shutil.rmtree(self.ground.folder(row.id), ignore_errors=True)

    def preview(self, caller: Caller, ref: str, rows: int) -> bytes:
        """The `Preview` as JSON, from the platform's store alone."""
        return self._stored(caller, ref, PREVIEW, lambda path: preview.read(path, rows))

    def sample(self, caller: Caller, ref: str) -> BinaryIO:
        """The stored sample, opened; Parquet."""
        return self._stored(caller, ref, PARQUET, lambda path: path.open("rb"))

    def access(self, caller: Caller, ref: str) -> Access:
        """How to read the source directly. A job's read is recorded."""
        with self._database.read() as session:
            row = _found(session, caller, ref)
        if row.format is None:
            raise _without_sample(row)
        if caller.job is not None:
            self._reads.record_read(caller.job, row.id)
        return views.access_view(row)

    def seed(self) -> None:
        """Register the platform's own datasets; raises AtollError where the next start tries again."""
        catalogue.keep(self.ground)

    def _stored(self, caller: Caller, ref: str, file: str, read: Callable[[Path], T]) -> T:
        """What `read` makes of a stored file; a new look may replace it at any moment."""
        for _ in range(_TRIES):
            with self._database.read() as session:
                row = _found(session, caller, ref)
            if row.sample is None:
                raise _without_sample(row)
            try:
                return read(self.ground.folder(row.id) / row.sample / file)
            except FileNotFoundError:
                continue
        raise UnavailableError(
            f"The stored sample of {row.name} is missing.", hint="Look at the source again."
        )


def _view(session: Session, row: DatasetRow, caller: Caller) -> Dataset:
    return views.dataset_view(row, store.grants_of(session, row.id), caller)


def _found(session: Session, caller: Caller, ref: str) -> DatasetRow:
    """The dataset that the caller means and may use; raises NotFoundError where there is none."""
    for row in _meant(session, caller, ref):
        if row.owner == caller.name or caller.admin:
            return row
        if caller.principals & set(store.grants_of(session, row.id)):
            return row
    raise NotFoundError(
        f"There is no dataset {ref[:100]!r} that you may use.",
        hint="`atoll datasets list` and the Datasets panel show those that there are.",
    )


def _meant(session: Session, caller: Caller, ref: str) -> Iterator[DatasetRow]:
    """What a reference may mean, in order: the caller's own, the platform's, then granted ones.

    Later ones are looked for only where the caller may not use those before.
    """
    if "\0" in ref:  # no name has it, and PostgreSQL refuses to look
        return
    if is_id(ref):
        row = session.get(DatasetRow, ref)
        yield from [] if row is None else [row]
        return
    owner, separator, name = ref.rpartition(":")
    owners = [owner] if separator else [caller.name, PLATFORM]
    named = [store.find_owned(session, one, name) for one in owners]
    yield from (row for row in named if row is not None)
    if not separator:
        yield from _granted(session, caller, name)


def _granted(session: Session, caller: Caller, name: str) -> list[DatasetRow]:
    rows = store.usable_named(session, name, caller.name, caller.principals)
    if len(rows) > 1:
        named = ", ".join(f"{row.owner}:{row.name}" for row in rows[:10])
        raise ConflictError(f"{name!r} may mean several datasets: {named}.", hint="Say whose.")
    return rows


def _managed(session: Session, caller: Caller, ref: str) -> DatasetRow:
    """The dataset, if the caller owns it or administers the platform."""
    row = _found(session, caller, ref)
    if row.owner != caller.name and not caller.admin:
        whose = "the platform" if row.owner == PLATFORM else row.owner
        raise ForbiddenError(
            f"{row.name} belongs to {whose}; you may use it, not change it.",
            hint="Ask its owner, or an administrator.",
        )
    return row


def _taken(owner: str, name: str) -> ConflictError:
    whose = "The platform has" if owner == PLATFORM else "You have"
    return ConflictError(
        f"{whose} a dataset {name!r} already.",
        hint=f"Say where it is now (`atoll datasets change {name} --path PATH`), choose another"
        " name, or remove it.",
    )


def _without_sample(row: DatasetRow) -> ConflictError:
    if row.status == DatasetStatus.PROBING:
        return ConflictError(
            f"{row.name} is being looked at for the first time.", hint="Try again in a moment."
        )
    return ConflictError(f"{row.name} could never be read: {row.message}")
