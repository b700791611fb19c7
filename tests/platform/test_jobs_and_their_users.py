"""Jobs on the real platform: what ends them with it, and whom the hub says that they are."""

from __future__ import annotations

import pytest
from atoll.apps.ending_jobs import running_jobs
from atoll.jobs import client
from atoll.jobs.models import Job, JobRequest, JobStatus
from atoll.kit.home import Home
from atoll.kit.hub_api import HubApi

from hub_config.settings import HubSection
from tests.platform.driver import Platform, User, atoll, choose_port, eventually, running

pytestmark = pytest.mark.platform

ENDLESS = "import threading\nprint('in the cell', flush=True)\nthreading.Event().wait()"


def submitted(user: User, source: str) -> Job:
    """A job of one cell in the base, once the cell runs."""
    cell = {"cell_type": "code", "source": source, "metadata": {}, "outputs": []}
    document = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python"}},
        "cells": [{**cell, "id": "one", "execution_count": None}],
    }
    request = JobRequest.model_validate({"notebook": document, "environment": "base"})
    with user.connection() as service:
        job = service.send(client.submit(request))
        eventually(
            lambda: service.send(client.log(job.id)).text, lambda log: "in the cell" in log, 60.0
        )
        return service.send(client.job(job.id))


def test_jobs_outlive_the_platform_unless_it_is_told_to_end_them(home: Home) -> None:
    port = choose_port()
    with running(home, port) as platform:
        job = submitted(platform.user("ada"), ENDLESS)
        atoll(home, "down")
        assert running_jobs(home) == {job.id}

        said = atoll(home, "down", "--stop-jobs").stdout
        assert f"ending the job {job.id}" in said
        assert running_jobs(home) == set()

        atoll(home, "up", "--detach", "--port", str(port))
        with platform.user("ada").connection() as service:
            ended = eventually(
                lambda: service.send(client.job(job.id)), lambda found: found.status.final
            )
        assert ended.status == JobStatus.STOPPED, ended


def test_down_ends_the_jobs_of_a_platform_that_runs(home: Home) -> None:
    with running(home) as platform:
        job = submitted(platform.user("ada"), ENDLESS)
        assert f"ending the job {job.id}" in atoll(home, "down", "--stop-jobs").stdout
        assert running_jobs(home) == set()


def test_the_service_may_ask_the_hub_who_a_jobs_user_is(platform: Platform) -> None:
    platform.user("dee")
    administrator = platform.user(HubSection().administrators[0], admin=True)
    hub = HubApi(f"{platform.url}hub/api/", platform.home.secret("service-token"))

    assert hub.groups("dee") == frozenset()
    administrator.api("POST", "groups/divers")
    administrator.api("POST", "groups/divers/users", json={"users": ["dee"]})
    assert hub.groups("dee") == {"divers"}
    administrator.api("DELETE", "users/dee")
    assert hub.groups("dee") is None
    hub.close()
