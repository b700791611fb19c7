"""Jobs that are run again where they fail: as often as was asked for, each time as a job of its own."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from atoll.jobs import client, handle
from atoll.jobs.models import JobStatus
from atoll.kit.errors import NotFoundError
from atoll.kit.http import Connection

from .platform import Atoll, notebook, printed


def fails_until(folder: Path, times: int) -> str:
    """A cell that fails so often, and then says how often it was run."""
    return (
        f"from pathlib import Path\nfolder = Path({str(folder)!r})\n"
        "number = len(list(folder.glob('run-*'))) + 1\n(folder / f'run-{number}').touch()\n"
        f"assert number > {times}, f'number {{number}}'\nprint('run', number)"
    )


def test_a_job_that_fails_is_run_again_until_it_succeeds(atoll: Atoll, tmp_path: Path) -> None:
    first = atoll.submit(
        notebook(fails_until(tmp_path, 2), parameters="year = 1"), retries=3, parameters={"year": 2}
    )
    with Connection(f"{atoll.url}api/v1/", "ada") as connection:
        last = handle.wait(connection, first, 60.0, quiet=True)

    assert last.status is JobStatus.SUCCEEDED
    assert "run 3" in printed(atoll.output(last))
    assert (last.retries, last.parameters) == (1, {"year": 2})
    failed = atoll.job(first)
    assert (failed.status, failed.retry_of) == (JobStatus.FAILED, None)
    assert "Another job runs it again." in str(failed.message)
    assert "(run again)" in handle.sentence(failed)
    assert failed.retried_by is not None
    second = atoll.send(client.job(failed.retried_by))
    assert (second.retry_of, second.retried_by) == (first.id, last.id)
    assert "number 1" in atoll.log(failed), "each has its own log"
    assert "number 2" in atoll.log(second)
    assert second.environment == last.environment == failed.environment


def test_it_is_not_run_again_more_often_than_was_asked_for(atoll: Atoll, tmp_path: Path) -> None:
    first = atoll.run(notebook(fails_until(tmp_path, 9)), retries=1)
    assert first.retried_by is not None
    last = atoll.final(atoll.send(client.job(first.retried_by)))
    assert (last.status, last.retries, last.retried_by) == (JobStatus.FAILED, 0, None)
    assert len(list(tmp_path.glob("run-*"))) == 2


def test_what_was_stopped_or_took_too_long_is_not_run_again(atoll: Atoll) -> None:
    forever = notebook("import time\nwhile True: time.sleep(0.1)")
    stopped = atoll.submit(forever, retries=2)
    late = atoll.submit(forever, retries=2, timeout_s=1)
    atoll.in_cell(stopped, 1)
    atoll.send(client.stop(stopped.id))
    assert atoll.final(stopped).retried_by is None
    ended = atoll.final(late)
    assert (ended.reason, ended.retried_by) == ("time_limit", None)


def test_stopping_a_job_stops_the_one_that_runs_it_again(atoll: Atoll, tmp_path: Path) -> None:
    waits = f"import time\nwhile not Path({str(tmp_path / 'gate')!r}).exists(): time.sleep(0.1)"
    first = atoll.run(notebook(fails_until(tmp_path, 1), waits), retries=5)
    with Connection(f"{atoll.url}api/v1/", "ada") as connection:
        last = handle.wait(connection, handle.stop(connection, first.id), 60.0, quiet=True)
    assert (last.status, last.retry_of, last.retried_by) == (JobStatus.STOPPED, first.id, None)
    assert atoll.job(first).status is JobStatus.FAILED


def test_one_of_them_can_be_deleted(atoll: Atoll, tmp_path: Path) -> None:
    first = atoll.run(notebook(fails_until(tmp_path, 1)), retries=1)
    assert first.retried_by is not None
    last = atoll.final(atoll.send(client.job(first.retried_by)))
    atoll.send(client.delete(last.id))
    assert atoll.job(first).retried_by is None
    with pytest.raises(NotFoundError):
        atoll.job(last)


def test_nobody_may_have_it_run_for_ever(atoll: Atoll) -> None:
    body = {"notebook": notebook("1"), "retries": 11}
    answer = httpx.post(
        f"{atoll.url}api/v1/jobs", json=body, headers={"Authorization": "token ada"}
    )
    assert answer.status_code == 422
    assert "retries" in answer.json()["detail"]
