"""What a job's own process may say at the service, and what nobody else may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from atoll.jobs import client
from atoll.jobs.models import Job, JobStatus
from atoll.jobs.reports import PIECE_MOST
from atoll.jobs.settings import JobSettings
from atoll.jobs.tokens import token_of
from atoll.kit.home import Home

from .platform import Atoll, eventually, notebook, printed
from .test_kills import Platform
from .test_pods import PODS, Kube, cluster, kube, platform_on

__all__ = ["cluster", "kube"]  # fixtures

ME, OTHER = "a" * 32, "b" * 32
SETTINGS = JobSettings.model_validate(
    {**PODS.model_dump(), "most_log": 4096, "most_notebook": 1 << 16, "most_output": 1 << 16}
)


@pytest.fixture(scope="module")
def platform(cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = Home(tmp_path_factory.mktemp("service") / "home")
    with platform_on(cluster, home, SETTINGS) as found:
        found.start()
        yield found


@dataclass
class Own:
    """A job that waits for its process, which is played by the test."""

    atoll: Atoll
    job: Job
    token: str
    claimant: str = ME

    def say(self, method: str, path: str, **rest: Any) -> httpx.Response:
        """A call of the job's process."""
        headers = {"Authorization": f"token {self.token}", "Atoll-Claimant": self.claimant}
        url = f"{self.atoll.url}api/v1/jobs/{self.job.id}/run/{path}"
        return httpx.request(method, url, headers={**headers, **rest.pop("headers", {})}, **rest)

    def claim(self, claimant: str = ME) -> httpx.Response:
        """Take the job."""
        return self.say("POST", "claim", json={"claimant": claimant, "pod": "uid"})

    def log(self, offset: int, text: str) -> httpx.Response:
        """A piece of the log."""
        return self.say("POST", "log", params={"offset": offset}, content=text.encode())

    def result(self, **said: Any) -> httpx.Response:
        """The last word."""
        return self.say("POST", "result", json=said)


@pytest.fixture
def atoll(platform: Platform) -> Atoll:
    return platform.spoken[-1]


@pytest.fixture
def begin(atoll: Atoll, platform: Platform, kube: Kube) -> Iterator[Callable[..., Own]]:
    kube.control(run=False)
    begun = []

    def submitted() -> Own:
        job = atoll.submit(notebook("print(n)", parameters="n = 1"), parameters={"n": 2})
        begun.append(job)
        eventually(lambda: kube.pod(job), bool)
        return Own(atoll, job, token_of(platform.home.secret("job-tokens"), job.id))

    yield submitted
    for job in begun:
        atoll.send(client.stop(job.id))
        atoll.final(job)


def test_one_process_alone_gets_the_job_however_often_it_asks(begin: Callable[..., Own]) -> None:
    own = begin()

    first, again, other = own.claim(), own.claim(), own.claim(OTHER)

    assert first.status_code == again.status_code == 200
    assert first.json()["parameters"] == {"n": 2}
    assert first.json() == again.json()
    assert other.status_code == 409
    assert other.json()["code"] == "conflict"


def test_only_the_claimant_is_listened_to(begin: Callable[..., Own]) -> None:
    own = begin()
    assert own.log(0, "too early").status_code == 409
    own.claim()

    own.claimant = OTHER
    assert own.log(0, "x").status_code == 409
    assert own.say("POST", "progress", json={"cell": 1, "cells": 2}).status_code == 409
    assert own.say("PUT", "output", content=b"{}").status_code == 409
    assert own.result(status="succeeded").status_code == 409
    own.claimant = "x" * 9
    assert own.log(0, "x").status_code == 409
    own.claimant = "x" * 65
    assert own.log(0, "x").status_code == 422
    assert own.atoll.log(own.job) == ""


@pytest.mark.parametrize(
    ("token", "status"),
    [("ada", 403), ("bob", 403), ("admin", 403), ("hub", 403), ("job-" + "0" * 56, 401),
     ("x" * 65, 401), ("no token", 401)],
)  # fmt: skip
def test_no_token_but_the_jobs_own_opens_its_routes(
    begin: Callable[..., Own], token: str, status: int
) -> None:
    own = begin()
    own.token = token
    for answer in (
        own.claim(),
        own.log(0, "x"),
        own.say("POST", "progress", json={}),
        own.say("PUT", "output", content=b"{}"),
        own.result(status="succeeded"),
    ):
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    assert own.atoll.job(own.job).status == JobStatus.STARTING


def test_a_job_does_not_know_of_others(begin: Callable[..., Own]) -> None:
    own, other = begin(), begin()
    own.claim()
    own.token = other.token

    assert own.claim().status_code == 404
    assert own.log(0, "x").status_code == 404
    assert own.result(status="succeeded").status_code == 404


def test_pieces_of_a_log_may_be_said_again_and_leave_no_gap(begin: Callable[..., Own]) -> None:
    own = begin()
    own.claim()

    assert own.log(0, "one two ").json() == {"next": 8}
    assert own.log(0, "one two ").json() == {"next": 8}
    assert own.log(4, "two three ").json() == {"next": 14}
    assert own.log(50, "far away").json() == {"next": 14}
    assert own.atoll.log(own.job) == "one two three "


def test_what_is_too_large_is_not_taken(begin: Callable[..., Own]) -> None:
    own = begin()
    own.claim()

    assert (
        own.say("POST", "log", params={"offset": 0}, content=b"x" * (PIECE_MOST + 1)).status_code
        == 413
    )
    assert own.log(4096 + (1 << 18), "x").status_code == 413
    assert own.log(-1, "x").status_code == 422
    huge = b"x" * (2 * (SETTINGS.most_notebook + SETTINGS.most_output) + 1)
    assert own.say("PUT", "output", content=huge).status_code == 413
    assert own.say("PUT", "output", content=iter([huge[:100_000], huge])).status_code == 413
    assert own.result(status="failed", message="x" * (1 << 20)).status_code == 413
    folder = own.atoll.log(own.job)
    assert folder == ""


def test_what_makes_no_sense_is_refused(begin: Callable[..., Own]) -> None:
    own = begin()
    assert own.claim("not hexadecimal").status_code == 422
    own.claim()
    assert own.result(status="running").status_code == 422
    assert own.result(status="nothing").status_code == 422
    assert own.say("POST", "result", content=b"{").status_code == 422
    assert own.say("POST", "progress", json={"cell": -1, "cells": 2}).status_code == 422
    assert own.say("POST", "progress", json={"cell": 1, "cells": 10**9}).status_code == 422
    assert own.atoll.job(own.job).status == JobStatus.STARTING


def test_after_the_last_word_nothing_is_taken(begin: Callable[..., Own], kube: Kube) -> None:
    own = begin()
    own.claim()
    own.say("PUT", "output", content=b'{"cells": [{"outputs": [{"text": "kept"}]}]}')
    assert own.say("POST", "progress", json={"cell": 1, "cells": 1}).status_code == 204
    own.log(0, "kept")
    assert own.result(status="succeeded", step=[1, 1]).status_code == 204

    for answer in (
        own.log(4, " and more"),
        own.say("PUT", "output", content=b"{}"),
        own.say("POST", "progress", json={}),
        own.result(status="failed"),
        own.claim(OTHER),
    ):
        assert answer.status_code in (401, 409), answer.text
    done = own.atoll.final(own.job)
    assert (done.status, done.step.cell) == (JobStatus.SUCCEEDED, 1)
    assert own.atoll.log(done) == "kept"
    assert printed(own.atoll.output(done)) == "kept"
    assert own.claim().status_code == 401


def test_a_job_that_is_to_be_stopped_is_not_given_away(
    begin: Callable[..., Own], platform: Platform
) -> None:
    own = begin()
    own.atoll.send(client.stop(own.job.id))

    assert own.claim().status_code in (401, 409)
    assert own.atoll.final(own.job).status == JobStatus.STOPPED
    assert own.claim().status_code == 401
