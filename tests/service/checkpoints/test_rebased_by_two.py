"""Two services at one rebase: what the quicker one did is not undone by the slower one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from atoll.apps.service import MIGRATIONS
from atoll.checkpoints import store
from atoll.checkpoints.models import CheckpointStatus, ServerStatus, ServerTarget, Trigger
from atoll.checkpoints.rebasing import Rebasing
from atoll.checkpoints.service import Checkpoints
from atoll.checkpoints.settings import CheckpointSettings
from atoll.checkpoints.store import CheckpointRow, ServerRow
from atoll.kit.db import Database
from atoll.kit.errors import UnavailableError
from atoll.kit.home import Home

from tests.databases import url_of
from tests.service.rebase_jobs import DONE, Container, Run

from .service_under_test import HubStub

ID = "k-1"


@dataclass
class Jobs:
    """A job, and what happens elsewhere while the slower service is at something."""

    contained: bool = True
    place: Container | None = field(default_factory=Container)
    runs: dict[str, Run] = field(default_factory=dict)
    meanwhile: dict[str, Callable[[], object]] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    cleared: list[str] = field(default_factory=list)

    def _elsewhere(self, at: str) -> None:
        self.meanwhile.pop(at, lambda: None)()

    def begin(
        self, id_: str, user: str, name: str, notebook: Any, parameters: Mapping[str, list[str]]
    ) -> None:
        self._elsewhere("begin")
        self.runs.setdefault(id_, Run())

    def look(self, id_: str) -> Run | None:
        found = self.runs.get(id_)
        self._elsewhere("look")
        return found if id_ in self.runs else None

    def output(self, _: str) -> bytes:
        return b""

    def environment(self, _: str) -> Container | None:
        self._elsewhere("environment")
        return self.place

    def stop(self, id_: str) -> None:
        self.stopped.append(id_)
        self.runs[id_] = Run(final=True)

    def clear(self, id_: str) -> None:
        self.cleared.append(id_)


@pytest.fixture
def checkpoints(home: Home) -> Iterator[Checkpoints]:
    """The capability, whose reconcilers do not run, with a rebase that has a job."""
    home.create()
    with closing(Database(url_of(home))) as database:
        database.upgrade(MIGRATIONS)
        found = Checkpoints(database, home, CheckpointSettings(), HubStub())
        of = {"user": "ada", "version": 1}
        saved = {"target": ServerTarget.SAVED, "status": ServerStatus.SAVED, "choice": "last"}
        row = {"server_id": "s-1", "server": "", "trigger": Trigger.REBASE, "job": "j-1"}
        with database.write() as session:
            session.add(ServerRow(id="s-1", name="", **of, **saved))
            session.flush()
            session.add(
                CheckpointRow(id=ID, status=CheckpointStatus.SCANNING, rebase={}, **of, **row)
            )
        yield found


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
def services(checkpoints: Checkpoints, jobs: Jobs) -> tuple[Rebasing, Rebasing]:
    """The slower and the quicker one."""
    quicker = Rebasing(checkpoints.ground, checkpoints.nodes.targets)
    quicker.jobs = checkpoints.rebasing.jobs = jobs
    return checkpoints.rebasing, quicker


def now(checkpoints: Checkpoints) -> CheckpointRow:
    """The rebase."""
    with checkpoints.ground.database.read() as session:
        return session.get_one(CheckpointRow, ID)


def write(checkpoints: Checkpoints, **values: object) -> None:
    """As somebody else."""
    with checkpoints.ground.database.write() as session:
        store.write_checkpoint(session, session.get_one(CheckpointRow, ID), values)


def test_one_that_was_cancelled_stays_so_and_the_job_that_came_too_late_is_ended(
    checkpoints: Checkpoints, jobs: Jobs, services: tuple[Rebasing, Rebasing]
) -> None:
    slower, quicker = services

    def cancelled() -> None:
        write(checkpoints, cancelled=True)
        quicker.perform(ID)
        assert now(checkpoints).reason == "cancelled"

    jobs.meanwhile["begin"] = cancelled
    assert slower.perform(ID) is not None

    assert (now(checkpoints).status, now(checkpoints).reason) == ("failed", "cancelled")
    while slower.perform(ID) is not None:
        pass
    assert (jobs.stopped, jobs.cleared) == (["j-1"], ["j-1"])


@pytest.mark.parametrize("ready", [True, False])
def test_one_that_was_handed_over_stays_its_agents(
    checkpoints: Checkpoints, jobs: Jobs, services: tuple[Rebasing, Rebasing], ready: bool
) -> None:
    slower, quicker = services
    jobs.runs["j-1"] = DONE

    def handed_over() -> None:
        quicker.perform(ID)
        status = CheckpointStatus.READY if ready else CheckpointStatus.COPYING
        write(checkpoints, status=status, message="By its agent.", lease="l")

    jobs.meanwhile["environment"] = handed_over
    slower.perform(ID)

    found = now(checkpoints)
    assert (found.status, found.message) == ("ready" if ready else "copying", "By its agent.")
    assert (found.node, found.lease) == ("node-1", "l")


def test_what_the_slower_one_saw_of_the_job_is_not_told_after_that(
    checkpoints: Checkpoints, jobs: Jobs, services: tuple[Rebasing, Rebasing]
) -> None:
    slower, quicker = services
    jobs.runs["j-1"] = Run()

    def ended() -> None:
        jobs.runs["j-1"] = DONE
        quicker.perform(ID)

    jobs.meanwhile["look"] = ended
    slower.perform(ID)

    assert (now(checkpoints).status, now(checkpoints).node) == ("requested", "node-1")


@pytest.mark.parametrize("lost", ["its pod", "its job", "an answer"])
def test_what_the_slower_one_finds_gone_then_does_not_end_its_agents_save(
    checkpoints: Checkpoints, jobs: Jobs, services: tuple[Rebasing, Rebasing], lost: str
) -> None:
    slower, quicker = services
    jobs.runs["j-1"] = DONE
    write(checkpoints, status=CheckpointStatus.COPYING)

    def handed_over() -> None:
        quicker.perform(ID)
        write(checkpoints, status=CheckpointStatus.COPYING, message="By its agent.", lease="l")
        if lost == "its pod":
            jobs.place = None
        elif lost == "its job":
            jobs.runs.clear()
        else:
            raise UnavailableError("The cluster does not answer.")

    jobs.meanwhile["look" if lost == "its job" else "environment"] = handed_over
    with suppress(UnavailableError):
        slower.perform(ID)

    found = now(checkpoints)
    assert (found.status, found.message, found.reason) == ("copying", "By its agent.", None)


def test_one_that_was_cancelled_is_handed_to_no_agent(
    checkpoints: Checkpoints, jobs: Jobs, services: tuple[Rebasing, Rebasing]
) -> None:
    slower, _ = services
    jobs.runs["j-1"] = DONE
    jobs.meanwhile["environment"] = lambda: write(checkpoints, cancelled=True)
    slower.perform(ID)
    assert now(checkpoints).node is None
    slower.perform(ID)
    assert (now(checkpoints).status, now(checkpoints).reason) == ("failed", "cancelled")
