"""The loop that moves jobs from status to status: the runner is told the target, and watched."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Final

from sqlalchemy.orm import Session

from atoll.jobs import queue, store
from atoll.jobs.ground import Ground, holder
from atoll.jobs.models import JobStatus, JobTarget
from atoll.jobs.runners import Outcome, Phase, Seen, Work
from atoll.jobs.store import JobRow, OvertakenError, change_job
from atoll.jobs.tokens import hash_of, token_of
from atoll.kit.errors import AtollError, ConflictError
from atoll.kit.names import new_id

_AT_ONCE_S: Final = 0.0
_BEHIND_S: Final = 0.001  # after those that wait: places are given before pods are made
_START_LOOK_S: Final = 0.05  # a process that comes up is looked at often, for a short time
_END_LOOK_S: Final = 0.2
_ENSURE_S: Final = 0.3  # an environment that is being saved
_PRUNED_AT_ONCE: Final = 100
_ADMITTED_AT_ONCE: Final = 100  # others write meanwhile
_NOT_AGAIN: Final = frozenset({"time_limit", "environment"})  # it would end in the same way
_LIMIT_SLACK_S: Final = 10.0  # the process keeps its limit itself; this is for one that cannot


class JobReconciler:
    """Moves jobs on. Keys are their ids."""

    name = "job"

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._swept = False
        self._left: set[str] = set()  # jobs that a service before left something of

    async def pending(self) -> Iterable[str]:
        """Jobs that are not final, oldest first."""
        return await asyncio.to_thread(self._pending)

    async def reconcile(self, key: str) -> float | None:
        """Move the job on as far as it goes now."""
        return await asyncio.to_thread(self._steps, key)

    def _pending(self) -> list[str]:
        if not self._swept:
            self._sweep()
            self._swept = True
        self._prune()
        alive = self._ground.runner.alive()
        with self._ground.database.read() as session:
            unfinished = store.unfinished(session)
        return [*unfinished, *self._left.union(alive).difference(unfinished)]

    def _steps(self, key: str) -> float | None:
        again_s: float | None = _AT_ONCE_S
        while again_s == _AT_ONCE_S:
            with self._ground.database.read() as session:
                row = session.get(JobRow, key)
            if row is None or JobStatus(row.status).final:
                self._clear(key)
                return None
            try:
                again_s = self._step(row)
            except OvertakenError:
                again_s = _AT_ONCE_S  # look at it anew
            except AtollError as error:
                self._tell(row, error)
                raise
        return again_s

    def _step(self, row: JobRow) -> float | None:
        stopped = row.target == JobTarget.STOPPED
        match JobStatus(row.status):
            case JobStatus.QUEUED | JobStatus.ADMITTED if stopped:
                return self._finish(row, Outcome(JobStatus.STOPPED, "stopped", "It never began."))
            case JobStatus.QUEUED:
                return self._wait(row)
            case JobStatus.ADMITTED:
                with self._ground.database.write() as session:
                    self._begin(session, row)
                return _AT_ONCE_S
            case _:
                return self._stop(row) if stopped else self._follow(row)

    def _clear(self, key: str) -> None:
        """A job that is over: remove what somebody had no time to."""
        if key not in self._left and key not in self._ground.runner.alive():
            return
        if not self._ground.environments.keeps(key):
            self._ground.runner.clear(key)
            self._left.discard(key)

    def _wait(self, row: JobRow) -> float | None:
        """In the line: find its environment, then see whether it is its turn."""
        if row.environment is None:
            return self._find_environment(row)
        with self._ground.database.read() as session:
            if not store.has_room(session, row.queue, self._ground.settings.places):
                return None  # woken when the line moves
        with self._ground.database.write() as session:
            current = session.get(JobRow, row.id)
            if current is None or current.version != row.version:
                raise OvertakenError("The job changed meanwhile.")
            return _BEHIND_S if self._admit(session, current) else None

    def _admit(self, session: Session, row: JobRow, **found: object) -> bool:
        """Let in this job, or all whose turn it is, so that a long line is read a few times only.

        `found` is what else is written down of this one. True where it is among them.
        """
        settings = self._ground.settings
        before = store.before(session, row, of_user=settings.places_per_user > 0)
        if queue.certain(before, settings.places, settings.places_per_user):
            self._begin(session, row, **found)
            admitted = [row.id]
        else:
            if found:
                change_job(session, row, **found)
                row = session.get_one(JobRow, row.id)
            admitted = self._admit_line(session, row)
        if admitted and before.active + len(admitted) >= settings.places:
            store.tell_line(session, row.queue)  # with room left they move up by themselves
        return row.id in admitted

    def _admit_line(self, session: Session, row: JobRow) -> list[str]:
        """Let in all whose turn it is in the job's queue: their ids."""
        version = store.queue_version(session, row.queue)
        line = store.line(session, row.queue, self._ground.settings)
        admitted = queue.admitted(line)[:_ADMITTED_AT_ONCE]
        if admitted:
            store.take_place(session, row.queue, version)
        for id_ in admitted:
            if id_ == row.id:
                self._begin(session, row)
            else:
                other = session.get_one(JobRow, id_)
                change_job(session, other, status=JobStatus.ADMITTED, reason=None, message=None)
        return admitted

    def _find_environment(self, row: JobRow) -> float | None:
        environments = self._ground.environments
        try:
            found = environments.ensure(row.user, row.server, row.choice, holder(row.id))
        except ConflictError as error:
            return self._finish(row, Outcome(JobStatus.FAILED, "environment", str(error)))
        with self._ground.database.write() as session:
            if isinstance(found, str):
                environments.hold(session, found, holder(row.id))
                known = {"environment": str(found), "reason": None, "message": None}
                return _BEHIND_S if self._admit(session, row, **known) else _AT_ONCE_S
            if (row.reason, row.message) != (found.reason, found.message):
                change_job(session, row, reason=found.reason, message=found.message)
        return _ENSURE_S

    def _begin(self, session: Session, row: JobRow, **found: object) -> None:
        """It has a place: from now on its token is good, and the runner may run it."""
        token = token_of(self._ground.token_secret(), row.id)
        begun: dict[str, object] = {
            "status": JobStatus.STARTING,
            "token_hash": hash_of(token),
            "reason": "starting",
            "message": "It has a place and is about to start.",
        }
        change_job(session, row, **{**found, **begun})

    def _follow(self, row: JobRow) -> float | None:
        """Write down what the runner sees."""
        seen = self._ground.runner.look(row.id)
        if seen.phase is Phase.ABSENT:
            self._ground.runner.start(self._work(row))
            return seen.again_s or _START_LOOK_S
        if seen.phase is Phase.ENDED:
            if not self._ground.runner.end(row.id):
                return _END_LOOK_S
            assert seen.outcome is not None  # noqa: S101  # what has ended has one
            ended_here = seen.outcome.status is JobStatus.STOPPED and self._overdue(row)
            return self._finish(row, _beyond_limit(row) if ended_here else seen.outcome, seen)
        if self._overdue(row):
            return self._finish(row, _beyond_limit(row), seen) if self._end(row) else _END_LOOK_S
        self._note(row, seen)
        if seen.again_s is not None:
            return seen.again_s
        starting = seen.phase is Phase.STARTING
        return _START_LOOK_S if starting else self._ground.settings.look_every_s

    def _note(self, row: JobRow, seen: Seen) -> None:
        running = seen.phase is Phase.RUNNING
        values: dict[str, object] = {}
        if running and row.status == JobStatus.STARTING:
            values = {"status": JobStatus.RUNNING, "reason": None, "message": None}
        if row.started_at is None and seen.started_at is not None:
            values["started_at"] = seen.started_at
            if not running:
                values["message"] = "Its kernel is coming up."
        if running and (row.cell, row.cells) != (seen.cell, seen.cells):
            values |= {"cell": seen.cell, "cells": seen.cells}
        told = (seen.reason, seen.message)
        if (seen.message is not None or running) and told != (row.reason, row.message):
            values |= {"reason": seen.reason, "message": seen.message}
        if values:
            with self._ground.database.write() as session:
                change_job(session, row, **values)

    def _stop(self, row: JobRow) -> float | None:
        """End it; one that came to its own end first keeps that."""
        seen = self._ground.runner.look(row.id)
        if not self._end(row):
            return _END_LOOK_S
        last = self._ground.runner.look(row.id)
        outcome = Outcome(JobStatus.STOPPED, "stopped", _stopped_in(last))
        if seen.phase is Phase.ENDED and seen.outcome is not None and row.started_at is not None:
            outcome = seen.outcome
        return self._finish(row, outcome, last)

    def _end(self, row: JobRow) -> bool:
        return self._ground.runner.end(row.id)

    def _finish(self, row: JobRow, outcome: Outcome, seen: Seen | None = None) -> float | None:
        """The last word: nothing of the job runs any more, its token and environment are given up."""
        values: dict[str, object] = {}
        if seen is not None:
            values = {"cell": seen.cell, "cells": seen.cells or row.cells}
            if row.started_at is None:
                values["started_at"] = seen.started_at
        failure = outcome.failure
        again = new_id("j") if _to_be_retried(row, outcome) else None
        with self._ground.database.write() as session:
            change_job(
                session,
                row,
                status=outcome.status,
                reason=outcome.reason,
                message=_with_retry(outcome.message, again),
                failure=failure.model_dump() if failure is not None else None,
                token_hash=None,
                retried_by=again,
                finished_at=self._ground.clock(),
                **values,
            )
            if again is not None:
                store.add_retry(
                    session, session.get_one(JobRow, row.id), again, self._ground.clock()
                )
                if row.environment is not None:
                    self._ground.environments.hold(session, row.environment, holder(again))
            self._ground.environments.release(session, holder(row.id))
            store.tell_line(session, row.queue)
        if not self._ground.environments.keeps(row.id):
            self._ground.runner.clear(row.id)
        return None

    def _overdue(self, row: JobRow) -> bool:
        if row.started_at is None:
            return False
        slack = self._ground.settings.grace_s + _LIMIT_SLACK_S
        return self._ground.clock() > row.started_at + timedelta(seconds=row.timeout_s + slack)

    def _work(self, row: JobRow) -> Work:
        assert row.environment is not None  # noqa: S101  # admitted with one
        return Work(
            id=row.id,
            user=row.user,
            name=row.name,
            folder=row.folder,
            notebook=partial(self._notebook, row.id),
            files=partial(self._files, row.id),
            kernel=row.kernel,
            language=row.language,
            parameters=row.parameters,
            environment=row.environment,
            timeout_s=row.timeout_s,
            resources=store.resources_of(row),
            variables={
                "ATOLL_URL": self._ground.service_url,
                "ATOLL_TOKEN": token_of(self._ground.token_secret(), row.id),
            },
        )

    def _notebook(self, id_: str) -> bytes:
        with self._ground.database.read() as session:
            return store.notebook_of(session, id_)

    def _files(self, id_: str) -> bytes | None:
        with self._ground.database.read() as session:
            return store.archive_of(session, id_)

    def _tell(self, row: JobRow, error: AtollError) -> None:
        """Say why it does not go on; it is tried again."""
        message = f"{error.while_retried} It is tried again."
        with self._ground.database.write() as session:
            again = session.get(JobRow, row.id)
            if again is not None and again.status == row.status and again.message != message:
                change_job(session, again, reason=error.code, message=message)

    def _sweep(self) -> None:
        """Find what a service that was killed had no time for; remove the directories at once."""
        runner = self._ground.runner
        kept, left = runner.kept(), runner.left()
        with self._ground.database.read() as session:
            known = store.existing(session, [*kept, *left])
        self._left = {id_ for id_ in left if id_ not in known or known[id_].final}
        for id_ in kept:
            if id_ not in known:
                runner.remove(id_)

    def _prune(self) -> None:
        """Remove jobs that finished longer ago than the operator keeps them."""
        before = self._ground.clock() - timedelta(days=self._ground.settings.keep_days)
        with self._ground.database.read() as session:
            old = store.finished_before(session, before, _PRUNED_AT_ONCE)
        for row in old:
            with self._ground.database.write() as session:
                again = session.get(JobRow, row.id)
                if again is not None:
                    store.delete_job(session, again)
            self._ground.runner.remove(row.id)


def _to_be_retried(row: JobRow, outcome: Outcome) -> bool:
    failed = outcome.status is JobStatus.FAILED and outcome.reason not in _NOT_AGAIN
    return failed and row.retries > 0 and row.target != JobTarget.STOPPED


def _with_retry(message: str | None, again: str | None) -> str | None:
    """What is said of its end, and that it is run again where that is so."""
    return message if again is None else f"{message or 'It failed.'} Another job runs it again."


def _beyond_limit(row: JobRow) -> Outcome:
    message = f"It went on beyond its time limit of {row.timeout_s} s and was ended."
    return Outcome(JobStatus.FAILED, "time_limit", message)


def _stopped_in(seen: Seen) -> str:
    return f"It was stopped in cell {seen.cell}." if seen.cell else "It was stopped."
