"""Any order of submissions, stops, ends, losses and restarts: the states of jobs keep their rules."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from atoll.jobs.models import Job, JobRequest, JobStatus, JobTarget
from atoll.jobs.reconciler import JobReconciler
from atoll.jobs.runners import Loop, Outcome, Phase, Seen, Work
from atoll.jobs.service import MIGRATIONS, Jobs
from atoll.jobs.settings import JobSettings
from atoll.jobs.store import JobRow
from atoll.kit import db
from atoll.kit.db import Database
from atoll.kit.home import Home
from atoll.kit.hub import USE, Caller
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy.orm import Session

from tests.exploring import examples

ADA = Caller("ada", scopes=frozenset({USE}))
PLACES = 2
DIGEST = "sha256:" + "1" * 64
ORDER = list(JobStatus)
NOTEBOOK = {
    "nbformat": 4,
    "metadata": {"kernelspec": {"name": "python3", "language": "python"}},
    "cells": [],
}


class Pending:
    """Not yet."""

    reason = "saving_environment"
    message = "It is being saved."


class Environments:
    """Environments that become ready when the test says so."""

    def __init__(self) -> None:
        self.ready: set[str] = set()
        self.held: set[str] = set()

    def check(self, user: str, server: str) -> None:
        """Every server is known."""

    def ensure(self, _: str, __: str | None, ___: str, holder: str) -> str | Pending:
        return DIGEST if holder in self.ready else Pending()

    def hold(self, _: Session, __: str, holder: str) -> None:
        self.held.add(holder)

    def release(self, _: Session, holder: str) -> None:
        self.held.discard(holder)

    def reference(self, _: str) -> str | None:
        return None

    def keeps(self, _: str) -> bool:
        return False

    def materialise(self, _: str, __: Path) -> dict[str, str]:
        return {}


class Machines:
    """A runner whose jobs do what the test says."""

    def __init__(self) -> None:
        self.seen: dict[str, Seen] = {}
        self.starts: list[str] = []
        self.given_up: set[str] = set()

    def start(self, work: Work) -> None:
        if work.id not in self.seen and work.id not in self.given_up:
            self.starts.append(work.id)
            self.seen[work.id] = Seen(Phase.STARTING, started_at=db.now())

    def look(self, id_: str) -> Seen:
        return self.seen.get(id_, Seen(Phase.ABSENT))

    def end(self, id_: str) -> bool:
        self.given_up.add(id_)
        found = self.seen.get(id_)
        if found is not None and found.phase is not Phase.ENDED:
            self.seen[id_] = Seen(Phase.ENDED, outcome=Outcome(JobStatus.STOPPED))
        return True

    def clear(self, _: str) -> None: ...

    def remove(self, id_: str) -> None:
        self.seen.pop(id_, None)

    def kept(self) -> list[str]:
        return list(self.seen)

    def left(self) -> list[str]:
        return list(self.seen)

    def alive(self) -> list[str]:
        return []

    def watch(self, _: Callable[[str], None]) -> Mapping[str, Loop]:
        return {}

    def close(self) -> None: ...

    def log(self, _: str, __: int, ___: int) -> tuple[bytes, int]:
        return b"", 0

    def output(self, _: str) -> bytes | None:
        return None


class NoUsers:
    """Nobody uses a token."""

    def groups(self, user: str) -> frozenset[str] | None:
        raise AssertionError(user)


class StatesOfJobs(RuleBasedStateMachine):
    """The service and its loop over a real database, beside a runner that does as it is told."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.home = Home(Path(self.folder.name))
        self.home.create()
        self.database = Database(f"sqlite:///{self.home.service / 'atoll.sqlite'}")
        kit = Path(db.__file__).parent / "migrations" / "versions"
        self.database.upgrade([kit, MIGRATIONS])
        self.environments, self.machines = Environments(), Machines()
        self.ids: list[str] = []
        self.last: dict[str, Job] = {}
        self.restart()

    @rule()
    def restart(self) -> None:
        """The service ends and another one comes."""
        self.jobs = Jobs(
            self.database,
            self.home,
            JobSettings(places=PLACES),
            self.environments,
            NoUsers(),
            service_url="http://127.0.0.1:1/",
            runner=self.machines,
        )
        [self.loop] = self.jobs.reconcilers()
        assert isinstance(self.loop, JobReconciler)
        asyncio.run(self.loop.pending())  # type: ignore[arg-type]  # it is a coroutine

    @rule(ready=st.booleans(), retries=st.integers(0, 2))
    def submit(self, ready: bool, retries: int) -> None:
        asked = JobRequest(notebook=NOTEBOOK, retries=retries)  # type: ignore[arg-type]
        job = self.jobs.create(ADA, asked)
        self.ids.append(job.id)
        if ready:
            self.environments.ready.add(f"job:{job.id}")

    @rule(number=st.integers(0, 9))
    def environment_is_saved(self, number: int) -> None:
        if number < len(self.ids):
            self.environments.ready.add(f"job:{self.ids[number]}")

    @rule(number=st.integers(0, 9))
    def stop(self, number: int) -> None:
        if number < len(self.ids):
            self.jobs.stop(ADA, self.ids[number])

    @rule(number=st.integers(0, 9), lost=st.booleans(), cell=st.integers(0, 3))
    def the_job_goes_on(self, number: int, lost: bool, cell: int) -> None:
        if number >= len(self.ids):
            return
        id_ = self.ids[number]
        found = self.machines.seen.get(id_)
        if found is None or found.phase is Phase.ENDED:
            return
        if found.phase is Phase.STARTING:
            self.machines.seen[id_] = Seen(Phase.RUNNING, cell, 3, found.started_at)
        else:
            outcome = Outcome(JobStatus.FAILED if lost else JobStatus.SUCCEEDED)
            self.machines.seen[id_] = Seen(Phase.ENDED, 3, 3, found.started_at, outcome)

    @rule(numbers=st.lists(st.integers(0, 9), max_size=6))
    def the_loop_looks(self, numbers: list[int]) -> None:
        for number in numbers:
            if number < len(self.ids):
                asyncio.run(self.loop.reconcile(self.ids[number]))  # type: ignore[arg-type]
                again = self.jobs.show(ADA, self.ids[number]).retried_by
                if again is not None and again not in self.ids:
                    self.ids.append(again)

    @invariant()
    def what_fails_is_run_again_as_often_as_was_asked_for(self) -> None:
        everything = self.jobs.page(ADA, user=None, status=None, name=None, cursor=None, limit=200)
        assert {job.id for job in everything.items} == set(self.ids)
        for job in everything.items:
            wanted = job.retries > 0 and job.target is not JobTarget.STOPPED
            assert (job.retried_by is not None) == (job.status is JobStatus.FAILED and wanted)
            if job.retried_by is not None:
                again = self.jobs.show(ADA, job.retried_by)
                assert (again.retry_of, again.retries) == (job.id, job.retries - 1)
                assert again.environment == job.environment is not None

    @invariant()
    def no_more_than_the_places_are_in_use(self) -> None:
        [queue] = self.jobs.queues()
        assert queue.running <= PLACES

    @invariant()
    def none_is_started_twice_or_after_its_end(self) -> None:
        assert len(self.machines.starts) == len(set(self.machines.starts))
        for id_ in self.machines.starts:
            assert self.jobs.show(ADA, id_).status != JobStatus.QUEUED

    @invariant()
    def states_go_forward_and_the_last_is_the_last(self) -> None:
        for id_ in self.ids:
            job, before = self.jobs.show(ADA, id_), self.last.get(id_)
            if before is not None and before.status.final:
                assert job == before
            elif before is not None:
                assert job.status.final or ORDER.index(job.status) >= ORDER.index(before.status)
            self.last[id_] = job

    @invariant()
    def what_has_ended_holds_nothing(self) -> None:
        with self.database.read() as session:
            for id_ in self.ids:
                row = session.get_one(JobRow, id_)
                if JobStatus(row.status).final:
                    assert row.token_hash is None
                    assert row.finished_at is not None
                    assert f"job:{id_}" not in self.environments.held
                elif row.status != JobStatus.QUEUED:
                    assert f"job:{id_}" in self.environments.held

    @invariant()
    def what_waits_says_why(self) -> None:
        for id_ in self.ids:
            job = self.jobs.show(ADA, id_)
            if job.status == JobStatus.QUEUED:
                assert job.position is not None
                assert job.reason
                assert job.message

    def teardown(self) -> None:
        """Whatever happened: once environments and jobs come to their ends, every job does."""
        if not hasattr(self, "database"):
            return
        for id_ in self.ids:
            self.environments.ready.add(f"job:{id_}")
        for _ in range(6 * len(self.ids) + 6):
            for number, id_ in enumerate(self.ids):
                asyncio.run(self.loop.reconcile(id_))  # type: ignore[arg-type]
                self.the_job_goes_on(number, lost=False, cell=1)
        assert all(self.jobs.show(ADA, id_).status.final for id_ in self.ids)
        self.database.close()
        self.folder.cleanup()


StatesOfJobs.TestCase.settings = settings(
    max_examples=examples(8),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestStatesOfJobs = StatesOfJobs.TestCase
