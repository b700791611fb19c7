"""The loop that has sources looked at: at once when asked for, and slowly again by itself."""

from __future__ import annotations

import asyncio
import errno
import shutil
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from atoll.datasets import locations, probing, store
from atoll.datasets.ground import Ground
from atoll.datasets.models import DatasetStatus, Location
from atoll.datasets.store import DatasetRow
from atoll.datasets.work import Answer, Outcome, Refusal, Work
from atoll.kit.errors import FullError
from atoll.kit.names import new_id

_MIB: Final = 1 << 20
_SCAN_SHARE: Final = 0.6  # of a probe's time; the rest is for the beginning, where that has to do
_SWEEP_EVERY_S: Final = 60.0


class DatasetReconciler:
    """Moves datasets from status to status. Keys are their ids."""

    name = "dataset"

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._room = asyncio.Semaphore(ground.settings.probes_at_once)
        self._swept: float | None = None

    async def pending(self) -> Iterable[str]:
        """Datasets whose source is to be looked at by now."""
        return await asyncio.to_thread(self._pending)

    async def reconcile(self, key: str) -> float | None:
        """Have the dataset's source looked at, if that is wanted by now."""
        async with self._room:
            row = await asyncio.to_thread(self._wanted, key)
            if row is None:
                return None
            probe = new_id("p")
            folder = self._ground.folder(key) / probe
            try:
                with probing.draft(folder) as hold:
                    limit_s = self._ground.settings.probe_limit_s
                    answer = await probing.probe(self._work(row), folder, hold, limit_s)
                    await asyncio.to_thread(self._apply, row, probe, answer)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise FullError("There is no room for the sample; free some.") from error
                raise
            finally:
                await asyncio.to_thread(self._clean, key)
        return None

    def _pending(self) -> list[str]:
        if self._swept is None or time.monotonic() - self._swept > _SWEEP_EVERY_S:
            self._sweep()
            self._swept = time.monotonic()
        with self._ground.database.read() as session:
            return store.due(session, self._ground.clock())

    def _wanted(self, key: str) -> DatasetRow | None:
        with self._ground.database.read() as session:
            row = session.get(DatasetRow, key)
        if row is None:
            return None
        due = row.status == DatasetStatus.PROBING or row.probe_at <= self._ground.clock()
        return row if due else None

    def _work(self, row: DatasetRow) -> Work:
        """What the probe is to do. Looked at by itself, a source that is as it was is not read."""
        settings = self._ground.settings
        known = [] if row.status == DatasetStatus.PROBING else [row.seen, row.refused]
        return Work(
            location=Location.model_validate(row.location),
            format=row.wanted_format,
            where=locations.allowed(row.owner, self._ground.home, settings),
            known=[mark for mark in known if mark is not None],
            sample_rows=settings.sample_rows,
            preview_rows=settings.preview_rows,
            sample_most=settings.sample_most_mb * _MIB,
            scan_most=settings.scan_most_mb * _MIB,
            scan_limit_s=settings.probe_limit_s * _SCAN_SHARE,
            disk_most=settings.probe_disk_mb * _MIB,
            memory_most=settings.probe_memory_mb * _MIB,
        )

    def _apply(self, asked: DatasetRow, probe: str, answer: Answer) -> None:
        """Write what the probe found, unless the dataset was removed or asked for anew meanwhile."""
        with self._ground.database.write() as session:
            row = session.get(DatasetRow, asked.id)
            if row is None or row.probe_at != asked.probe_at:
                return
            if answer.outcome is not None:
                self._read(session, row, probe, answer.outcome, answer.fingerprint)
            elif answer.refusal is not None:
                self._refused(session, row, answer.refusal, answer.fingerprint)
            else:
                self._unchanged(session, row, answer.fingerprint)

    def _read(
        self, session: Session, row: DatasetRow, probe: str, found: Outcome, seen: str | None
    ) -> None:
        store.change_dataset(
            session,
            row,
            **self._good(),
            format=found.format,
            options=found.options,
            columns=[column.model_dump(mode="json") for column in found.columns],
            partitions=[key.model_dump(mode="json") for key in found.partitions],
            rows=found.rows,
            rows_exact=found.rows_exact,
            size=found.size,
            source_modified_at=found.modified,
            sample=probe,
            seen=seen,
            refused=None,
        )

    def _refused(
        self, session: Session, row: DatasetRow, refusal: Refusal, fingerprint: str | None
    ) -> None:
        status = DatasetStatus.FAILED if row.sample is None else DatasetStatus.STALE
        again = self._ground.clock() + timedelta(seconds=self._ground.settings.retry_every_s)
        store.change_dataset(
            session,
            row,
            status=status,
            reason=refusal.reason,
            message=refusal.message,
            probe_at=again,
            refused=fingerprint,
        )

    def _unchanged(self, session: Session, row: DatasetRow, fingerprint: str | None) -> None:
        if fingerprint == row.seen:
            store.change_dataset(session, row, **self._good(), refused=None)
            return
        again = self._ground.clock() + timedelta(seconds=self._ground.settings.retry_every_s)
        store.change_dataset(session, row, probe_at=again)

    def _good(self) -> dict[str, object]:
        moment = self._ground.clock()
        again = moment + timedelta(seconds=self._ground.settings.refresh_every_s)
        return {
            "status": DatasetStatus.READY,
            "reason": None,
            "message": None,
            "probed_at": moment,
            "probe_at": again,
        }

    def _clean(self, key: str) -> None:
        """Remove what belongs to a dataset and does not count (any more)."""
        with self._ground.database.read() as session:
            row = session.get(DatasetRow, key)
        _remove_others(self._ground.folder(key), row.sample if row is not None else None)
        if row is None:
            _remove_if_empty(self._ground.folder(key))

    def _sweep(self) -> None:
        """The same for all datasets: a service that was killed has left its probes' folders."""
        folders = sorted(self._ground.home.datasets.glob("*/"))  # before the rows: none is too new
        with self._ground.database.read() as session:
            samples = store.samples(session)
        for folder in folders:
            _remove_others(folder, samples.get(folder.name))
            if folder.name not in samples:
                _remove_if_empty(folder)


def _remove_others(folder: Path, kept: str | None) -> None:
    """Remove the samples that nobody works on, but for the one that counts."""
    for sample in folder.glob("*/"):
        if sample.name == kept:
            continue
        with probing.left(sample) as left:
            if left:
                shutil.rmtree(sample, ignore_errors=True)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # somebody still works in it: the next sweep has it
