"""A notebook, submitted, run, and looked at."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from atoll.checkpoints import client as checkpoints
from atoll.jobs import client
from atoll.jobs.models import JobStatus
from atoll.jobs.service import Jobs
from atoll.kit.errors import TooLargeError
from atoll.kit.home import Home
from pydantic import JsonValue

from .platform import Atoll, eventually, notebook, printed, started, wheel


def test_a_notebook_runs_as_a_job_and_gives_its_output(atoll: Atoll) -> None:
    job = atoll.submit(
        notebook("print('sum', n + 1)", "n * 2", parameters="n = 1"), parameters={"n": 20}
    )
    assert job.status == JobStatus.QUEUED

    done = atoll.final(job)

    assert done.status == JobStatus.SUCCEEDED, (done, atoll.log(done))
    assert (done.step.cell, done.step.cells) == (3, 3)
    assert done.started_at is not None
    assert done.finished_at is not None
    assert done.environment is not None
    text = printed(atoll.output(done))
    assert "sum 21" in text
    assert "40" in text
    assert "sum 21" in atoll.log(done)
    assert (
        "warning" not in atoll.log(done).lower()
    )  # of papermill's or the kernel's: none is its reader's


def test_parameters_arrive_as_they_were_given(atoll: Atoll) -> None:
    given: dict[str, JsonValue] = {
        "text": "it's \"quoted\"\n\\n é 🐚 {braces} '''",
        "number": 10**20,
        "ratio": 0.1,
        "flag": True,
        "nothing": None,
        "many": [1, "two", None, [3.5]],
        "named": {"a b": {"c": False}},
    }
    defaults = "\n".join(f"{name} = 0" for name in given)

    done = atoll.run(
        notebook(f"import json; print(json.dumps([{', '.join(given)}]))", parameters=defaults),
        parameters=given,
    )

    assert done.status == JobStatus.SUCCEEDED, atoll.log(done)
    assert json.loads(printed(atoll.output(done))) == list(given.values())
    assert done.parameters == given


def test_a_failing_cell_is_named_with_its_exception(atoll: Atoll) -> None:
    done = atoll.run(
        notebook("print('before')", "n", "{}['dest']", "print('never')", parameters="n = 1"),
        parameters={"n": 2},
    )

    assert done.status == JobStatus.FAILED
    assert done.reason == "cell_failed"
    assert done.message == "Cell 4 failed: KeyError: 'dest'"
    assert done.failure is not None
    assert (done.failure.cell, done.failure.name, done.failure.value) == (4, "KeyError", "'dest'")
    assert (done.step.cell, done.step.cells) == (4, 5)
    output = atoll.output(done)
    assert "before" in printed(output)
    assert "never" not in printed(output)
    log = atoll.log(done)
    assert "KeyError" in log
    assert "\x1b[" not in log


def test_what_a_cell_is_allowed_to_raise_is_no_failure(atoll: Atoll) -> None:
    document = notebook("1 / 0", tags=["raises-exception"])
    document["cells"] += notebook("print('on')")["cells"]  # type: ignore[operator]

    done = atoll.run(document)

    assert done.status == JobStatus.SUCCEEDED, done
    assert "on" in printed(atoll.output(done))
    assert "papermill-error" not in json.dumps(atoll.output(done))


def test_a_notebook_may_end_itself(atoll: Atoll) -> None:
    done = atoll.run(notebook("import sys; sys.exit()", "print('never')"))

    assert done.status == JobStatus.SUCCEEDED, done
    assert "never" not in printed(atoll.output(done))


def test_a_kernel_is_spoken_to_at_no_port_that_others_might_take_before_it(atoll: Atoll) -> None:
    look = "import ipykernel, json; print(json.loads(ipykernel.get_connection_info())['transport'])"
    done = atoll.run(notebook(look))

    assert done.status == JobStatus.SUCCEEDED, (done, atoll.log(done))
    assert printed(atoll.output(done)).strip() == "ipc"


def test_a_kernel_that_dies_is_a_failure_that_says_so(atoll: Atoll) -> None:
    done = atoll.run(notebook("print('here', flush=True)", "import os; os._exit(3)"))

    assert done.status == JobStatus.FAILED
    assert done.reason == "kernel_died"
    assert "cell 2" in str(done.message)
    assert "here" in printed(atoll.output(done))


def test_an_empty_notebook_succeeds(atoll: Atoll) -> None:
    done = atoll.run(notebook())

    assert done.status == JobStatus.SUCCEEDED
    assert (done.step.cell, done.step.cells) == (0, 0)


def test_log_and_output_are_there_while_it_runs(atoll: Atoll, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = atoll.submit(
        notebook(
            "print('first é')",
            f"import os, time\nprint('waiting', flush=True)\n"
            f"while not os.path.exists({str(gate)!r}): time.sleep(0.02)",
            "print('last')",
        )
    )

    running = atoll.in_cell(job, 2)
    eventually(lambda: atoll.log(job), lambda log: "waiting" in log)
    output = eventually(lambda: printed(atoll.output(job)), lambda text: "waiting" in text)
    assert "first é" in output
    assert running.step.cells == 3
    assert not atoll.send(client.log(job.id)).complete
    gate.touch()

    assert atoll.final(job).status == JobStatus.SUCCEEDED
    assert atoll.send(client.log(job.id)).complete
    assert "last" in printed(atoll.output(job))


def test_the_log_is_cut_between_characters(atoll: Atoll) -> None:
    done = atoll.run(notebook("print('é🐚漢' * 40)"))
    whole = atoll.log(done)

    for size in (4, 5, 6, 7, 11):
        text, offset, complete = "", 0, False
        while not complete:
            piece = atoll.send(client.log(done.id, offset, size))
            assert piece.next_offset > offset
            text, offset, complete = text + piece.text, piece.next_offset, piece.complete
        assert text == whole
    assert "�" not in whole


def test_a_cell_may_not_fill_the_disk_by_printing(atoll: Atoll, home: Home, jobs: Jobs) -> None:
    done = atoll.run(
        notebook("line = 'x' * 99\nfor _ in range(600_000): print(line)", "print('and on')"),
    )

    assert done.status == JobStatus.SUCCEEDED, done
    kept = home.jobs / done.id
    assert (kept / "output.ipynb").stat().st_size < 25 << 20
    assert (kept / "job.log").stat().st_size < (50 << 20) + 1000
    assert "more is not kept" in printed(atoll.output(done))


def test_nor_by_raising_what_is_long(atoll: Atoll, home: Home) -> None:
    done = atoll.run(notebook("raise type('X' * 10**6, (Exception,), {})('y' * 30_000_000)"))

    assert done.status == JobStatus.FAILED
    assert done.reason == "cell_failed"
    kept = home.jobs / done.id
    assert (kept / "output.ipynb").stat().st_size < 1 << 20
    assert (kept / "job.log").stat().st_size < 1 << 20
    assert "characters …]" in atoll.log(done)


def test_nor_by_failing_again_and_again(atoll: Atoll, home: Home) -> None:
    done = atoll.run(
        notebook(
            "ip = get_ipython()\n"
            "for n in range(600):\n"
            "    try: raise ValueError(f'{n} ' + 'z' * 60_000)\n"
            "    except ValueError: ip.showtraceback()\n"
            "raise KeyError('the last')"
        )
    )

    assert done.message == "Cell 1 failed: KeyError: 'the last'"
    assert (home.jobs / done.id / "output.ipynb").stat().st_size < 25 << 20
    assert (home.jobs / done.id / "job.log").stat().st_size < 1 << 20


def test_an_output_that_was_made_huge_is_not_read(atoll: Atoll, home: Home) -> None:
    done = atoll.run(notebook())
    with (home.jobs / done.id / "output.ipynb").open("r+b") as output:
        output.truncate(1 << 30)

    with pytest.raises(TooLargeError):
        atoll.send(client.output(done.id))


def test_what_processes_of_a_cell_print_is_in_the_log(atoll: Atoll) -> None:
    done = atoll.run(
        notebook("import subprocess; subprocess.run(['echo', 'from a shell'], check=True)")
    )

    assert "from a shell" in atoll.log(done)


def test_a_job_runs_in_the_users_home_and_knows_no_secret(
    atoll: Atoll, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "s3cret")
    monkeypatch.setenv("ATOLL_SERVICE__DATABASE", "s3cret")
    monkeypatch.setenv("PIP_INDEX_URL", "http://index.example/simple")
    monkeypatch.setenv("CURL_CA_BUNDLE", "/ca.pem")
    (home.homes / "ada" / "deep").mkdir(parents=True)

    done = atoll.run(
        notebook("import json, os; print(json.dumps([os.getcwd(), dict(os.environ)]))"),
        folder="deep",
    )

    folder, variables = json.loads(printed(atoll.output(done)))
    assert folder == str(home.homes / "ada" / "deep")
    assert variables["HOME"] == str(home.homes / "ada")
    assert variables["ATOLL_JOB"] == done.id
    assert variables["ATOLL_URL"] == atoll.url
    assert variables["PIP_INDEX_URL"] == "http://index.example/simple"
    assert variables["CURL_CA_BUNDLE"] == "/ca.pem"
    assert str(home.jobs / done.id) in variables["VIRTUAL_ENV"]
    assert "s3cret" not in json.dumps(variables)
    assert not any(name.startswith("ATOLL_SERVICE") for name in variables)


def test_whose_first_act_is_a_job_gets_the_demos_too(atoll: Atoll, home: Home) -> None:
    done = atoll.run(notebook("import os; print(os.listdir())"))

    assert "'demos'" in printed(atoll.output(done))
    assert (home.homes / "ada" / "demos" / "README.md").is_file()


def test_the_environment_is_gone_at_the_end_and_the_rest_is_kept(atoll: Atoll, home: Home) -> None:
    done = atoll.run(notebook("import os; os.makedirs('made', exist_ok=True)"))

    folder = home.jobs / done.id
    eventually(
        lambda: {path.name for path in folder.iterdir()}, lambda names: "environment" not in names
    )
    assert {"output.ipynb", "job.log", "notebook.ipynb"} <= {p.name for p in folder.iterdir()}
    assert not list(folder.glob(".*"))


def test_a_job_runs_in_what_its_server_was_saved_as(atoll: Atoll, tmp_path: Path) -> None:
    prepared = started(atoll)
    subprocess.run(
        [f"{prepared['VIRTUAL_ENV']}/bin/pip", "install", "--no-index", wheel(tmp_path)],
        env=prepared,
        check=True,
        capture_output=True,
    )

    job = atoll.submit(
        notebook("import seashell, sys; print(seashell.__version__, sys.prefix)"),
        environment="server",
    )
    done = atoll.final(job)

    assert done.status == JobStatus.SUCCEEDED, atoll.log(done)
    assert printed(atoll.output(done)).startswith("1.0 ")
    assert done.id in printed(atoll.output(done))
    assert done.server == ""
    [checkpoint] = atoll.send(checkpoints.checkpoints()).items
    assert checkpoint.digest == done.environment
    base = atoll.run(notebook("import seashell"), environment="base")
    assert base.failure is not None
    assert base.failure.name == "ModuleNotFoundError"
