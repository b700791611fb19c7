"""A rebase whose job ran in a container: its node's agent saves what that left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from atoll.apps import service
from atoll.checkpoints import client
from atoll.checkpoints.base import VERSION_LABEL
from atoll.checkpoints.models import Checkpoint, CheckpointRequest, CheckpointStatus
from atoll.checkpoints.rebase import REPORT
from atoll.checkpoints.store import CheckpointRow
from atoll.kit.db import Database
from atoll.kit.errors import ConflictError
from sqlalchemy import text

from tests.databases import url_of
from tests.service.rebase_jobs import DONE, Container, Run

from .cluster import NODE, Cluster, eventually
from .containers import create


@dataclass
class Jobs:
    """Jobs as pods that have ended: what they are given is noted, what they say is the test's."""

    contained: bool = True
    given: dict[str, Mapping[str, list[str]]] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)
    image: str = ""
    cleared: set[str] = field(default_factory=set)

    def begin(
        self, id_: str, user: str, name: str, notebook: Any, parameters: Mapping[str, list[str]]
    ) -> None:
        assert user == "ada"
        self.given[id_] = parameters

    def look(self, id_: str) -> Run | None:
        return DONE if id_ in self.given else None

    def output(self, _: str) -> bytes:
        return json.dumps({"cells": [{"outputs": [{"data": {REPORT: self.said}}]}]}).encode()

    def environment(self, id_: str) -> Container:
        return Container(NODE, f"jobs/{id_}/job", self.image)

    def stop(self, _: str) -> None:
        """It has ended."""

    def clear(self, id_: str) -> None:
        self.cleared.add(id_)

    @property
    def only(self) -> str:
        [id_] = self.given
        return id_


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    found = Jobs()
    monkeypatch.setattr(service, "KeptJobs", lambda _: found)
    yield found


def an_old_one(cluster: Cluster, packages: dict[str, str]) -> Checkpoint:
    """A saved server that has these packages over its base."""
    (cluster.start() / "notes").write_text("old")
    cluster.end()
    cluster.saved()
    database = Database(url_of(cluster.home))
    with database.write() as session:
        values = {"packages": json.dumps(packages)}
        session.execute(text("UPDATE checkpoints SET packages = :packages"), values)
    database.close()
    return cluster.checkpoints()[0]


def rebasing(
    cluster: Cluster, jobs: Jobs, old: Checkpoint, labels: Mapping[str, str] | None = None
) -> Checkpoint:
    """A rebase, and what its job wrote into its container."""
    jobs.image = f"registry.example/atoll/singleuser@{create(cluster.store, 'newer', labels)}"
    asked = cluster.send(client.rebase(old.id))
    [id_] = eventually(lambda: list(jobs.given), bool)
    folder = cluster.root / "jobs" / id_ / "job"
    folder.mkdir(parents=True)
    (folder / "installed").write_text("new")
    return asked


def test_the_container_of_its_job_becomes_the_checkpoint(jobs: Jobs, cluster: Cluster) -> None:
    agent = cluster.agent()
    old = an_old_one(cluster, {"conch": "1.0", "-r": "x"})
    before = cluster.server()
    agent.kill()
    jobs.said = {"installed": {"conch": "1.0"}}
    asked = rebasing(cluster, jobs, old)
    cluster.agent()

    new = cluster.final(asked.id)

    assert (new.status, new.message, new.parent) == (CheckpointStatus.READY, None, old.digest)
    assert new.base == jobs.image.partition("@")[2]
    assert new.base_name == "registry.example/atoll/singleuser"
    assert cluster.files(new.digest) == {"installed"}
    assert [one.path for one in new.left_out] == ["-r x"]
    assert list(jobs.given.values()) == [{"install": ["conch==1.0"], "remove": []}]
    assert cluster.server().environment == before.environment == old.digest
    assert new.job in eventually(lambda: jobs.cleared, bool)
    cluster.start(environment=str(new.digest))  # a start from it is one in a container


def test_what_its_job_could_not_install_is_named_and_nothing_at_all_fails_it(
    jobs: Jobs, cluster: Cluster
) -> None:
    agent = cluster.agent()
    old = an_old_one(cluster, {"conch": "1.0"})
    agent.kill()
    jobs.said = {"failed": {"conch": "No matching distribution\x1b[31m"}}
    asked = rebasing(cluster, jobs, old)
    cluster.agent()

    new = cluster.final(asked.id)

    assert (new.status, new.digest) == (CheckpointStatus.FAILED, None)
    assert "not one of its packages" in str(new.message)
    assert "\x1b" not in str(new.message)


def test_a_container_that_is_gone_fails_it_and_it_can_be_asked_for_again(
    jobs: Jobs, cluster: Cluster
) -> None:
    cluster.agent()
    old = an_old_one(cluster, {"conch": "1.0"})
    jobs.said = {"installed": {"conch": "1.0"}}
    jobs.image = f"registry.example/atoll/singleuser@{create(cluster.store, 'newer')}"
    failed = cluster.final(cluster.send(client.rebase(old.id)).id)
    assert failed.status == CheckpointStatus.FAILED
    jobs.given.clear()

    agent = cluster.processes[0]
    agent.kill()
    asked = rebasing(cluster, jobs, old)
    cluster.agent()
    assert cluster.final(asked.id).status == CheckpointStatus.READY


def test_where_jobs_are_processes_a_container_is_not_rebased(jobs: Jobs, cluster: Cluster) -> None:
    cluster.agent()
    old = an_old_one(cluster, {"conch": "1.0"})
    jobs.contained = False
    with pytest.raises(Exception, match="run in different ways"):
        cluster.send(client.rebase(old.id))


def test_where_nothing_lies_over_the_base_there_is_nothing_to_rebase(
    jobs: Jobs, cluster: Cluster
) -> None:
    cluster.agent()
    cluster.start()
    request = CheckpointRequest(server="-", note="as it is")
    same = cluster.final(cluster.send(client.save(request)).id)
    assert same.status == CheckpointStatus.READY
    with pytest.raises(ConflictError, match="Nothing lies over"):
        cluster.send(client.rebase(same.id))


def test_where_all_is_in_the_newer_base_it_becomes_that_and_says_of_what_version(
    jobs: Jobs, cluster: Cluster
) -> None:
    agent = cluster.agent()
    old = an_old_one(cluster, {"conch": "1.0"})
    agent.kill()
    jobs.said = {"installed": {"conch": "1.0"}}
    asked = rebasing(cluster, jobs, old, {VERSION_LABEL: "7.0.0"})
    (cluster.root / "jobs" / jobs.only / "job" / "installed").unlink()
    database = Database(url_of(cluster.home))
    with database.write() as session:
        values = {"id": asked.id, "repository": "atoll/ada"}
        session.execute(
            text("UPDATE checkpoints SET repository = :repository WHERE id = :id"), values
        )
    cluster.agent()

    new = cluster.final(asked.id)

    assert (new.status, new.platform_version) == (CheckpointStatus.READY, "7.0.0")
    assert new.digest == new.base == jobs.image.partition("@")[2]
    with database.read() as session:
        row = session.get_one(CheckpointRow, asked.id)
        assert (row.repository, row.image) == (None, jobs.image)
    database.close()
