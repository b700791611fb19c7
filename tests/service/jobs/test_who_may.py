"""Who may see and do what, tokens of jobs, and requests that nobody should send."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from atoll.jobs import bodies, client
from atoll.jobs.models import InspectRequest, Job, JobRequest, JobStatus, Notebook
from atoll.jobs.service import Jobs
from atoll.kit.errors import (
    AtollError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from atoll.kit.home import Home
from atoll.kit.http import Connection
from atoll.kit.hub import USE

from .platform import Atoll, eventually, notebook, printed
from .service_under_test import USERS, HubStub

NOBODYS = "sha256:" + "0" * 64


def gated(gate: Path) -> str:
    return (
        "import os, time\nprint(os.environ['ATOLL_TOKEN'], flush=True)\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.02)"
    )


def test_anothers_job_does_not_exist(atoll: Atoll) -> None:
    done = atoll.run(notebook("print('mine')"))

    for call in (
        client.job(done.id),
        client.log(done.id),
        client.output(done.id),
        client.notebook(done.id),
        client.stop(done.id),
        client.again(done.id),
        client.delete(done.id),
        client.jobs(user="ada"),
    ):
        with pytest.raises(NotFoundError):
            atoll.send(call, "bob")  # type: ignore[arg-type]  # calls of many types
    assert atoll.send(client.jobs(), "bob").items == []
    assert [job.id for job in atoll.send(client.jobs(user="ada"), "admin").items] == [done.id]
    assert [job.id for job in atoll.send(client.jobs(user="*"), "admin").items] == [done.id]
    assert atoll.send(client.jobs(), "admin").items == []
    assert atoll.job(done, "admin") == done


def test_a_jobs_token_is_its_users_while_it_runs(atoll: Atoll, tmp_path: Path, jobs: Jobs) -> None:
    gate = tmp_path / "gate"
    job = atoll.send(client.submit(JobRequest(notebook=notebook(gated(gate)))), "ada-gpu")
    log = eventually(lambda: atoll.log(job), lambda found: "job-" in found)
    token = log[log.index("job-") :].split()[0]

    caller = asyncio.run(jobs.identify(token, fresh=True))
    assert caller is not None
    assert (caller.name, caller.scopes) == ("ada", {USE})
    assert caller.groups == {"modelers"}
    assert (caller.server, caller.job) == ("gpu", job.id)
    with Connection(atoll.url + "api/v1/", token) as own:
        assert own.send(client.job(job.id)).id == job.id
    jobs.record_read(job.id, "d-1")
    jobs.record_read(job.id, "d-1")
    assert atoll.job(job).datasets == ["d-1"]
    assert asyncio.run(jobs.identify(token[:-1] + "x", fresh=False)) is None
    gate.touch()
    atoll.final(job)

    assert asyncio.run(jobs.identify(token, fresh=False)) is None
    with Connection(atoll.url + "api/v1/", token) as own, pytest.raises(UnauthenticatedError):
        own.send(client.stop(job.id))


def test_a_jobs_token_is_good_while_the_hub_knows_its_user(
    atoll: Atoll, tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    job = atoll.submit(notebook(gated(gate)))
    log = eventually(lambda: atoll.log(job), lambda found: "job-" in found)
    token = log[log.index("job-") :].split()[0]
    anew = JobRequest(notebook=notebook())

    with Connection(atoll.url + "api/v1/", token) as own:
        assert own.send(client.job(job.id)).id == job.id
        monkeypatch.setattr(HubStub, "away", True)
        assert own.send(client.job(job.id)).id == job.id, "the hub is away for a moment"
        with pytest.raises(UnavailableError):
            own.send(client.submit(anew))
        monkeypatch.setattr(HubStub, "away", False)
        for mine in ("ada", "ada-gpu", "ada-server"):
            monkeypatch.setitem(USERS, mine, {**USERS[mine], "groups": ["others"]})
        caller = asyncio.run(jobs.identify(token, fresh=True))
        assert caller is not None
        assert caller.groups == {"others"}
        for mine in ("ada", "ada-gpu", "ada-server"):
            monkeypatch.delitem(USERS, mine)
        with pytest.raises(UnauthenticatedError):
            own.send(client.submit(anew))
        with pytest.raises(UnauthenticatedError):
            own.send(client.job(job.id))
    monkeypatch.undo()
    gate.touch()
    atoll.final(job)
    assert [job.id for job in atoll.send(client.jobs()).items] == [job.id]


def test_no_command_line_and_no_file_but_the_jobs_own_holds_the_token(
    atoll: Atoll, tmp_path: Path, home: Home, jobs: Jobs
) -> None:
    gate = tmp_path / "gate"
    job = atoll.submit(notebook(gated(gate)))
    log = eventually(lambda: atoll.log(job), lambda found: "job-" in found)
    token = log[log.index("job-") :].split()[0]

    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if readable(path)]
    kept = [path for path in home.path.rglob("*") if path.is_file() and not path.is_symlink()]
    holding = {path.name for path in kept if token.encode() in path.read_bytes()}

    assert not any(token.encode() in line for line in lines)
    assert holding <= {"job.log", "output.ipynb"}  # the notebook printed it
    gate.touch()
    atoll.final(job)


def readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def test_without_the_scope_or_a_known_token_nothing_is_to_be_had(atoll: Atoll) -> None:
    with pytest.raises(ForbiddenError):
        atoll.send(client.jobs(), "noscope")
    for token in ("expired", "job-" + "0" * 56):
        with pytest.raises(UnauthenticatedError):
            atoll.send(client.jobs(), token)


def test_jobs_are_listed_newest_first_in_pages(atoll: Atoll) -> None:
    done = [atoll.submit(notebook(), name=f"n{n % 2}.ipynb") for n in range(5)]
    for job in done:
        atoll.final(job)

    first = atoll.send(client.jobs(limit=2))
    second = atoll.send(client.jobs(limit=2, cursor=first.next))
    third = atoll.send(client.jobs(limit=2, cursor=second.next))

    ids = [job.id for page in (first, second, third) for job in page.items]
    assert ids == [job.id for job in reversed(done)]
    assert third.next is None
    assert len(atoll.send(client.jobs(name="n1.ipynb")).items) == 2
    assert len(atoll.send(client.jobs(status=JobStatus.SUCCEEDED)).items) == 5
    assert atoll.send(client.jobs(status=JobStatus.FAILED)).items == []


def test_a_job_is_deleted_once_it_has_ended(atoll: Atoll, home: Home, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = atoll.submit(notebook(gated(gate)))
    with pytest.raises(ConflictError):
        atoll.send(client.delete(job.id))
    atoll.in_cell(job, 1)
    gate.touch()
    atoll.final(job)
    eventually((home.jobs / job.id / "environment").exists, lambda there: not there)

    atoll.send(client.delete(job.id))

    with pytest.raises(NotFoundError):
        atoll.job(job)
    assert not (home.jobs / job.id).exists()


def test_a_job_is_run_again_as_it_was(atoll: Atoll) -> None:
    document = notebook("print(n)", parameters="n = 1")
    first = atoll.run(document, parameters={"n": 7}, timeout_s=77)

    again = atoll.final(atoll.send(client.again(first.id)))

    assert again.id != first.id
    assert (again.parameters, again.timeout_s, again.name) == ({"n": 7}, 77, first.name)
    assert printed(atoll.output(again)) == "7\n"
    assert json.loads(atoll.send(client.notebook(again.id))) == document


def test_the_form_is_made_from_the_notebook_and_the_last_values(atoll: Atoll) -> None:
    document = notebook("n", parameters="n: int = 1  # how many\nname = 'x'")
    atoll.run(document, parameters={"n": 5}, name="form.ipynb")

    found = atoll.send(client.inspect(InspectRequest(name="form.ipynb", notebook=document)))

    assert [(p.name, p.default, p.type, p.help) for p in found.parameters] == [
        ("n", 1, "int", "how many"),
        ("name", "x", "str", ""),
    ]
    assert (found.kernel, found.code_cells, found.last_values) == ("python3", 2, {"n": 5})


def test_the_last_values_are_those_of_the_notebook_in_that_folder(atoll: Atoll) -> None:
    document = notebook("n", parameters="n = 1")
    atoll.run(document, parameters={"n": 5}, name="report.ipynb", folder="one")
    atoll.run(document, parameters={"n": 6}, name="report.ipynb", folder="two")
    atoll.run(document, parameters={"n": 7}, name="report.ipynb", folder=".")

    def last(folder: str | None) -> dict[str, object]:
        asked = InspectRequest(name="report.ipynb", folder=folder, notebook=document)
        return dict(atoll.send(client.inspect(asked)).last_values)

    assert [last(folder) for folder in ("one", "two", "three", "", ".", None)] == [
        {"n": 5}, {"n": 6}, {}, {"n": 7}, {"n": 7}, {"n": 7},
    ]  # fmt: skip


def broken(**changes: object) -> Notebook:
    return {**notebook("1"), **changes}  # type: ignore[dict-item]  # broken on purpose


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "nbformat"),
        (broken(nbformat=3), "format 4"),
        (broken(cells="x"), "cells"),
        (broken(cells=[1]), "cell 1"),
        (broken(cells=[{"cell_type": "code"}]), "source"),
        (broken(metadata={}), "no kernel"),
        (notebook("1", kernel="no-such-kernel"), "no-such-kernel"),
        (notebook("1", kernel="../../etc"), "kernel"),
    ],
)
def test_what_is_no_runnable_notebook_is_refused(
    atoll: Atoll, document: Notebook, said: str
) -> None:
    with pytest.raises(InvalidError, match=said) as refused:
        atoll.submit(document)

    assert refused.value.hint
    assert atoll.send(client.jobs()).items == []


def test_a_parameter_that_the_notebook_lacks_is_refused_with_those_it_has(atoll: Atoll) -> None:
    with pytest.raises(InvalidError, match=r"'m'.*Its parameters are n, k"):
        atoll.submit(notebook("n", parameters="n = 1\nk = 2"), parameters={"m": 1})
    with pytest.raises(InvalidError, match="tagged `parameters`"):
        atoll.submit(notebook("n"), parameters={"n": 1})


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"environment": NOBODYS}, ConflictError),
        ({"environment": "../etc"}, InvalidError),
        ({"queue": "gpu"}, InvalidError),
        ({"timeout_s": 0}, InvalidError),
        ({"timeout_s": 10**9}, InvalidError),
        ({"name": "x" * 201}, InvalidError),
        ({"notebook": 5}, InvalidError),
        ({"name": "\ud800.ipynb"}, InvalidError),
        ({"notebook": notebook("\ud800")}, InvalidError),
        ({"parameters": {"\ud800": "\ud800"}}, InvalidError),
    ],
)
def test_a_request_that_cannot_be_is_refused_and_leaves_nothing(
    atoll: Atoll, request_: dict[str, object], error: type[AtollError], jobs: Jobs
) -> None:
    body = {"notebook": notebook("1"), **request_}
    answer = post(atoll, json.dumps(body).encode())

    assert answer.status_code == error.status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert atoll.send(client.jobs()).items == []


def post(atoll: Atoll, body: bytes) -> httpx.Response:
    return httpx.post(
        atoll.url + "api/v1/jobs",
        content=body,
        headers={"Authorization": "token ada", "Content-Type": "application/json"},
        timeout=60,
    )


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null", b"[" * 100_000])
def test_a_body_that_is_no_request_is_refused(atoll: Atoll, body: bytes) -> None:
    assert post(atoll, body).status_code in (400, 422)


def test_while_a_notebook_is_read_the_service_answers(
    atoll: Atoll, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, answered = threading.Event(), threading.Event()
    read = bodies.read

    def slow(*given: object) -> object:
        reading.set()
        assert answered.wait(20), "nobody was answered meanwhile"
        return read(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(bodies, "read", slow)
    with ThreadPoolExecutor(1) as pool:
        submitted = pool.submit(atoll.submit, notebook())
        assert reading.wait(20)
        assert atoll.send(client.queues(), "bob")
        answered.set()
        atoll.final(submitted.result(20))


def test_a_notebook_beyond_the_limit_is_refused(atoll: Atoll) -> None:
    document = notebook("x" * (21 << 20))
    with pytest.raises(TooLargeError, match=r"22\.0 MB"):
        atoll.submit(document)
    with pytest.raises(TooLargeError, match=r"larger than 47\.5 MB"):
        atoll.submit(notebook("x" * (48 << 20)))


@pytest.mark.parametrize("folder", ["../../../etc", "a\0b", "{n}"])  # more in tests/unit/jobs
def test_no_folder_of_a_notebook_leads_out_of_the_home(
    atoll: Atoll, home: Home, folder: str
) -> None:
    done = atoll.run(notebook("import os; print(os.getcwd())"), folder=folder)

    assert done.status == JobStatus.SUCCEEDED, (done, atoll.log(done))
    assert printed(atoll.output(done)).strip() == str(home.homes / "ada")


def test_a_link_out_of_the_home_is_not_followed(atoll: Atoll, home: Home, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (home.homes / "ada").mkdir(parents=True)
    (home.homes / "ada" / "link").symlink_to(tmp_path / "elsewhere")

    done = atoll.run(notebook("import os; print(os.getcwd())"), folder="link")

    assert printed(atoll.output(done)).strip() == str(home.homes / "ada")


def test_a_server_that_nobody_has_is_refused(atoll: Atoll) -> None:
    for environment in ("server", "last"):
        request = JobRequest(notebook=notebook("1"), environment=environment, server="nope")
        with pytest.raises(InvalidError, match="no server 'nope'"):
            atoll.send(client.submit(request))
    assert not atoll.send(client.jobs()).items


@pytest.mark.parametrize("id_", ["x", "j-" + "0" * 22, "..", "../jobs", "%2e%2e", "é", "'; DROP"])
def test_an_id_of_nothing_is_not_found(atoll: Atoll, id_: str) -> None:
    with pytest.raises(NotFoundError):
        atoll.send(client.log(id_))


def test_what_a_job_writes_into_its_own_directory_hurts_nobody(
    atoll: Atoll, home: Home, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("s3cret")
    spoil = f"""
import os
place = {str(home.jobs)!r} + '/' + os.environ['ATOLL_JOB']
for name in ('result.json', 'progress.json'):
    open(f'{{place}}/{{name}}', 'wb').write(b'\\xff{{' * 100)
os.unlink(f'{{place}}/job.log')
os.symlink({str(tmp_path / "secret")!r}, f'{{place}}/job.log')
os._exit(1)
"""
    job: Job = atoll.submit(notebook(spoil))
    done = atoll.final(job)

    assert done.status == JobStatus.FAILED
    assert "s3cret" not in atoll.log(done)
    assert (home.jobs / job.id / "job.log").readlink() == tmp_path / "secret"
