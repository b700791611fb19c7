"""Jobs with files: found where they were beside the notebook, kept with the job, gone with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from atoll.jobs import client, handle, store, submission
from atoll.jobs.models import CapturedFile, FileCount, Job, JobRequest, JobStatus
from atoll.jobs.service import Jobs
from atoll.jobs.settings import JobSettings
from atoll.kit.errors import InvalidError, NotFoundError, TooLargeError
from atoll.kit.home import Home
from atoll.kit.names import directory_name
from sqlalchemy import func, select

from .conftest import FAST
from .platform import Atoll, eventually, notebook, printed
from .test_kills import Platform
from .test_pods import PODS, Kube, cluster, kube, platform_on
from .test_reports import OTHER, Own

__all__ = ["cluster", "kube"]  # fixtures

FILES = [
    CapturedFile(path="work/data/x.csv", content=b"of the submission\n"),
    CapturedFile(path="work/helpers.py", content=b"N = 41\n"),
    CapturedFile(path="shared/run.sh", content=b"#!/bin/sh\necho ran\n", executable=True),
]
READS = """
import subprocess, sys
from pathlib import Path
from helpers import N
print(Path("data/x.csv").read_text(), N + 1)
print(subprocess.run(["../shared/run.sh"], capture_output=True, text=True).stdout)
print(sorted(str(path) for path in Path("..").rglob("*") if path.is_file()
    and "__pycache__" not in path.parts))
Path("made.txt").write_text("by the job")
"""
SEEN = "['../shared/run.sh', '../work/data/x.csv', '../work/helpers.py']"


@pytest.fixture
def settings() -> JobSettings:
    return FAST.model_copy(update={"most_files": 10_000})


def submit(atoll: Atoll, source: str = READS, who: str = "ada", **values: Any) -> Job:
    given = {"folder": "work", "files": FILES, "environment": "base", **values}
    return atoll.send(client.submit(JobRequest(notebook=notebook(source), **given)), who)


def rows(jobs: Jobs) -> int:
    with jobs.ground.database.read() as session:
        return session.scalar(select(func.count()).select_from(store.FilesRow)) or 0


def ran(atoll: Atoll, job: Job) -> None:
    """The notebook found its files, and just these."""
    done = atoll.final(job)
    assert done.status == JobStatus.SUCCEEDED, (done, atoll.log(done))
    text = printed(atoll.output(done))
    assert "of the submission\n 42" in text
    assert "ran" in text
    assert SEEN in text


def test_a_job_has_its_files_as_they_were_also_when_it_is_run_again(
    atoll: Atoll, jobs: Jobs, home: Home
) -> None:
    lies = home.homes / directory_name("ada") / "work"
    lies.mkdir(parents=True)
    (lies / "helpers.py").write_text("N = 0  # of today\n")

    first = submit(atoll)
    assert first.files == FileCount(count=3, size=sum(len(file.content) for file in FILES))
    ran(atoll, first)
    again = atoll.send(client.again(first.id))
    assert again.files == first.files
    ran(atoll, again)

    assert not (lies / "made.txt").exists(), "it worked in a directory of its own"
    place = home.jobs / first.id
    eventually((place / "work").exists, lambda there: not there)
    assert (place / "job.log").exists()
    assert [(one.path, one.size) for one in atoll.send(client.files(first.id))] == [
        ("shared/run.sh", 19),
        ("work/data/x.csv", 18),
        ("work/helpers.py", 7),
    ]
    atoll.send(client.delete(first.id))
    assert rows(jobs) == 1, "the other job has its own"
    assert len(atoll.send(client.files(again.id))) == 3
    atoll.send(client.delete(again.id))
    assert rows(jobs) == 0


@pytest.mark.parametrize("by", ["homes", "a link"])
@pytest.mark.parametrize("named", ["report.ipynb", "../work/report.ipynb"])
def test_what_a_notebook_opens_in_its_server_its_job_opens_by_the_same_path(
    atoll: Atoll, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by: str, named: str
) -> None:
    homes = tmp_path / "home/homes"
    ada = homes / "ada"
    for path, text in {"work/data/x.csv": "x", "work/data/y.csv": "y", "shared/u.py": "u"}.items():
        (ada / path).parent.mkdir(parents=True, exist_ok=True)
        (ada / path).write_text(text)
    opens = notebook("print([open(path).read() for path in paths])", parameters="paths = []")
    (ada / "work/report.ipynb").write_text(json.dumps(opens))
    (tmp_path / "link").symlink_to(homes)
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    monkeypatch.setenv("HOME", str(ada if by == "homes" else tmp_path / "link/ada"))
    monkeypatch.chdir(ada / "work")  # as a kernel of this notebook is

    def run(*files: str, paths: list[str]) -> tuple[str, list[str]]:
        asked = submission.request(named, {"paths": paths}, environment="base", files=files)
        done = atoll.final(atoll.send(client.submit(asked)))
        assert done.status == JobStatus.SUCCEEDED, (done, atoll.log(done))
        return printed(atoll.output(done)).strip(), handle.Job(atoll.connections["ada"], done).files

    here = ["../shared/u.py", "data/x.csv", "data/y.csv"]
    assert run(paths=here)[0] == "['u', 'x', 'y']", "without files it starts there"
    said, listed = run("data", "../shared", paths=here)
    assert said == "['u', 'x', 'y']"
    assert listed == here, "they are called as the notebook calls them"
    assert run(*listed, paths=listed) == (said, listed)


def test_anothers_files_do_not_exist(atoll: Atoll) -> None:
    job = submit(atoll, "1")
    for call in (
        client.files(job.id),
        client.submit(JobRequest(notebook=notebook("1"), environment="base", files_of=job.id)),
    ):
        with pytest.raises(NotFoundError):
            atoll.send(call, "bob")  # type: ignore[arg-type]  # calls of many types
    atoll.final(job)


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../x", "a/./b", "a//b", "a\0b", "x" * 300, "work"]
)
def test_a_path_that_leads_elsewhere_is_refused_and_no_job_is_made(
    atoll: Atoll, jobs: Jobs, path: str
) -> None:
    with pytest.raises(InvalidError):
        submit(atoll, files=[CapturedFile(path=path, content=b"x")])
    assert atoll.send(client.jobs()).items == []
    assert rows(jobs) == 0


def test_what_no_job_may_have_is_refused_in_words(atoll: Atoll) -> None:
    one = CapturedFile(path="a", content=b"x")
    big = CapturedFile(path="big", content=b"x" * 10_001)
    with pytest.raises(TooLargeError, match=r"have 0\.0 MB; 0\.0 MB are allowed"):
        submit(atoll, files=[big])
    with pytest.raises(InvalidError, match="1000"):
        submit_raw(atoll, [{"path": str(number), "content": ""} for number in range(1001)])
    with pytest.raises(InvalidError, match="files"):
        submit_raw(atoll, [{"path": "a", "content": "no base64!"}])
    with pytest.raises(InvalidError, match="cannot both"):
        submit(atoll, files=[one], files_of="j-0192f0c1a2b3c4d5e6f7a8")
    with pytest.raises(InvalidError, match=r"`\.\.`"):
        submit(atoll, files=[one], folder="../elsewhere")
    with pytest.raises(NotFoundError):
        submit(atoll, files=[], files_of="j-0192f0c1a2b3c4d5e6f7a8")


def submit_raw(atoll: Atoll, files: list[dict[str, str]]) -> None:
    """As a program that nobody of ours wrote."""
    body = {"notebook": notebook("1"), "environment": "base", "files": files}
    headers = {"Authorization": "token ada"}
    answer = httpx.post(f"{atoll.url}api/v1/jobs", json=body, headers=headers)
    assert answer.status_code == 422
    raise InvalidError(answer.json()["detail"])


@pytest.fixture(scope="module")
def platform(cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = Home(tmp_path_factory.mktemp("service") / "home")
    with platform_on(cluster, home, PODS) as found:
        found.start()
        yield found


def test_in_a_pod_the_files_lie_where_they_did(platform: Platform, kube: Kube) -> None:
    atoll = platform.spoken[-1]
    ran(atoll, submit(atoll))
    eventually(kube.left, lambda found: not found)


def test_no_token_but_the_jobs_own_process_gets_its_files(platform: Platform, kube: Kube) -> None:
    from atoll.jobs.tokens import token_of

    atoll = platform.spoken[-1]
    kube.control(run=False)
    job = submit(atoll, "1")
    eventually(lambda: kube.pod(job), bool)
    own = Own(atoll, job, token_of(platform.home.secret("job-tokens"), job.id))

    assert own.say("GET", "files").status_code == 409, "it has not taken the job"
    assert own.claim().json()["files"] == 3
    assert own.say("GET", "files").headers["content-type"] == "application/gzip"
    own.claimant = OTHER
    assert own.say("GET", "files").status_code == 409
    for token, status in (("ada", 403), ("bob", 403), ("admin", 403), ("hub", 403), ("x", 401)):
        own.token = token
        assert own.say("GET", "files").status_code == status
    atoll.send(client.stop(job.id))
    atoll.final(job)
