"""The run form's files are captured where the server is, and go to the service with the job."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from urllib.parse import unquote

import pytest
from atoll.server.submitting import LEFT_OUT

from tests.unit.server.labserver import HUB_TOKEN, Answer, Lab
from tests.unit.server.upstream import Upstream

JOB = {"name": "report.ipynb", "folder": "work", "notebook": {"cells": []}, "timeout_s": None}


@pytest.fixture
def work(lab: Lab) -> Path:
    found = lab.root / "work"
    (found / "data").mkdir(parents=True, exist_ok=True)
    (found / "data/x.csv").write_bytes(b"a\xff")
    return found


def submit(lab: Lab, *files: str, job: object = JOB, **how: str) -> Answer:
    body = json.dumps({"job": job, "files": files}).encode()
    return lab.ask("POST", "atoll/submit", body=body, Content_Type="application/json", **how)


def test_a_job_is_submitted_with_the_files_that_were_named(
    lab: Lab, upstream: Upstream, work: Path
) -> None:
    answer = submit(lab, "data")

    assert answer.status == 200, answer.body
    assert LEFT_OUT not in answer.headers
    (request,) = upstream.received
    assert (request.method, request.path) == ("POST", "/services/atoll/api/v1/jobs")
    assert request.headers["Authorization"] == f"token {HUB_TOKEN}"
    sent = json.loads(request.body)
    assert base64.urlsafe_b64decode(sent["files"][0].pop("content")) == b"a\xff"
    assert sent == {**JOB, "files": [{"path": "work/data/x.csv", "executable": False}]}


def test_what_is_left_out_is_told_with_the_answer(lab: Lab, upstream: Upstream, work: Path) -> None:
    link = work / "data/é.csv"
    if not link.is_symlink():
        link.symlink_to("/etc/passwd")
    answer = submit(lab, "data")
    link.unlink()
    assert answer.status == 200
    assert unquote(answer.headers[LEFT_OUT]).startswith("Left out: work/data/é.csv (a link")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "nowhere.csv", "../../../../etc/hostname", ""]
)
def test_what_cannot_be_captured_never_reaches_the_service(
    lab: Lab, upstream: Upstream, work: Path, name: str
) -> None:
    answer = submit(lab, name)
    assert (answer.status, answer.json()["code"]) == (422, "invalid")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert upstream.received == []


@pytest.mark.parametrize("job", [None, [], {}, {"notebook": 3}, {**JOB, "folder": "../.."}])
def test_a_request_that_is_none_is_told(
    lab: Lab, upstream: Upstream, work: Path, job: object
) -> None:
    assert submit(lab, "data", job=job).status == 422
    assert upstream.received == []


def test_strangers_and_other_methods_get_nothing(lab: Lab, upstream: Upstream, work: Path) -> None:
    body = json.dumps({"job": JOB, "files": ["data"]}).encode()
    assert lab.ask("POST", "atoll/submit", body=body, token=None).status == 403
    assert lab.ask("POST", "atoll/submit", body=body, token="wrong").status == 403
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        assert lab.ask(method, "atoll/submit").status == 405
    assert upstream.received == []


def test_a_pipe_holds_nobody_up(lab: Lab, upstream: Upstream, work: Path) -> None:
    os.mkfifo(work / "pipe")
    assert submit(lab, "pipe").status == 422
    (work / "pipe").unlink()
