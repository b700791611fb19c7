"""What the process in a job's pod may do at the service: take its job, and tell how it goes.

Each call names the claimant, a secret that the process made for itself: a second pod, or a program of
the notebook's, has the job's token and is still not it. All of it may be said again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from atoll.jobs import claims, files, store
from atoll.jobs.directory import Draft
from atoll.jobs.models import JobStatus, JobTarget
from atoll.jobs.resources import size_of
from atoll.jobs.runners import Said
from atoll.jobs.settings import JobSettings
from atoll.jobs.store import JobRow
from atoll.jobs.tokens import PREFIX, hash_of
from atoll.jobs.work_models import Claim, Heard, Order, Progress
from atoll.kit.db import Database, now
from atoll.kit.errors import (
    ConflictError,
    FullError,
    InvalidError,
    NotFoundError,
    TooLargeError,
)
from atoll.kit.events import record
from atoll.kit.home import Home

PIECE_MOST: Final = 1 << 20
"""Bytes of the log that are taken at once."""

_BESIDE: Final = 1 << 18  # the platform's own lines in a log, beyond its limit
_OVER: Final = "This job is over, or somebody else has it: what is said now counts no more."


class Reports:
    """The rules. Everything blocks."""

    def __init__(
        self,
        database: Database,
        home: Home,
        settings: JobSettings,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._database = database
        self._settings = settings
        self._files = files.JobFiles(home, settings)
        self._clock = clock

    @property
    def most_output(self) -> int:
        """Bytes of the largest output notebook that is taken."""
        return self._files.most_output

    def own(self, token: str) -> str | None:
        """The unfinished job whose token this is; None for other tokens.

        The hub is not asked: a job that runs is reported whatever becomes of its user's login.
        """
        if not token.startswith(PREFIX):
            return None
        with self._database.read() as session:
            row = store.by_token(session, hash_of(token))
        return row.id if row is not None else None

    def claim(self, id_: str, claim: Claim) -> Order:
        """Take the job, once and for ever; what is to be done. Raises ConflictError."""
        with self._database.write() as session:
            row = session.get(JobRow, id_)
            active = row is not None and row.status in (JobStatus.STARTING, JobStatus.RUNNING)
            if row is None or not active or row.target == JobTarget.STOPPED:
                raise ConflictError("This job is not to be run now.")
            if not claims.take(session, id_, claim.claimant, claim.pod, self._clock()):
                raise ConflictError("This job is somebody else's already.")
            _wake(session, id_)
            document = store.notebook_of(session, id_)
        return Order(
            name=row.name,
            kernel=row.kernel,
            language=row.language,
            parameters=row.parameters,
            timeout_s=row.timeout_s,
            grace_s=self._settings.grace_s,
            start_within_s=self._settings.start_within_s,
            folder=row.folder,
            memory=size_of(store.resources_of(row), self._settings).memory,
            most_log=self._settings.most_log,
            most_output=self._settings.most_output,
            deliver_within_s=self._settings.deliver_within_s,
            log_at=self._files.log(id_, 0, 0)[1],
            notebook=document.decode(),
            files=row.files,
        )

    def files(self, id_: str, claimant: str) -> bytes:
        """The archive of the files that the job was given."""
        self._check(id_, claimant)
        with self._database.read() as session:
            found = store.archive_of(session, id_)
        if found is None:
            raise NotFoundError("This job was given no files.")
        return found

    def progress(self, id_: str, claimant: str, progress: Progress) -> None:
        """How far it is. To be said now and then: who is silent for long may be lost."""
        values = {} if progress.cells is None else {"cell": progress.cell, "cells": progress.cells}
        with self._database.write() as session:
            before = claims.find(session, id_)
            known = before is not None and (before.cell, before.cells)
            if not claims.heard(session, id_, claimant, self._clock(), **values):
                raise ConflictError(_OVER)
            if values and known != (progress.cell, progress.cells):
                _wake(session, id_)

    def log(self, id_: str, claimant: str, offset: int, piece: bytes) -> Heard:
        """Keep a piece of the log; the answer says where the next one is to begin.

        What is there already is passed over; before a gap, the answer leads back to it.
        """
        self._check(id_, claimant)
        if offset + len(piece) > self._settings.most_log + _BESIDE:
            raise TooLargeError("This log is longer than any that is kept.")
        place = self._files.place(id_)
        place.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with full_told(), os.fdopen(os.open(place.log, flags, 0o600), "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # said twice at once, it is written once
            size = os.fstat(file.fileno()).st_size
            if offset <= size:
                file.write(piece[size - offset :])
                file.flush()
                size = os.fstat(file.fileno()).st_size
        return Heard(next=size)

    def draft_output(self, id_: str, claimant: str) -> Draft:
        """A file for the output notebook as it arrives; `keep` puts it in its place."""
        self._check(id_, claimant)
        place = self._files.place(id_)
        with full_told():
            place.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            return Draft(place.output)

    def result(self, id_: str, claimant: str, said: Said) -> None:
        """The last word."""
        if not said.status.final:
            raise InvalidError(f"A job does not end as {said.status}.")
        word = said.model_dump(mode="json")
        with self._database.write() as session:
            if not claims.heard(session, id_, claimant, self._clock(), result=word):
                known = claims.find(session, id_)
                if known is None or (known.claimant, known.result) != (claimant, word):
                    raise ConflictError(_OVER)
            _wake(session, id_)

    def _check(self, id_: str, claimant: str) -> None:
        """Raise ConflictError unless the job is the claimant's and has not ended."""
        with self._database.read() as session:
            row = claims.find(session, id_)
        if row is None or row.claimant != claimant or row.result is not None:
            raise ConflictError(_OVER)


@contextmanager
def full_told() -> Iterator[None]:
    """Raise FullError where the disk takes no more."""
    try:
        yield
    except OSError as error:
        raise FullError(
            f"What a job said cannot be kept ({error.strerror}).",
            hint="An administrator has to free space; the job keeps it meanwhile.",
        ) from error


def _wake(session: Session, id_: str) -> None:
    """Have the reconciler look at the job. Nobody else needs to: it tells what follows from this."""
    record(session, "job", id_, "changed", [])
