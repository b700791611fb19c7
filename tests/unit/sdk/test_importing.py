"""`import atoll` is quick, and its nouns mean the same whatever was imported before."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

BUDGET_MS = 50


def fresh(code: str) -> str:
    """What a new interpreter prints that runs this."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_takes_no_time_and_brings_nothing_heavy() -> None:
    code = (
        # Of this process alone: what else a busy machine does at the time is not ours.
        "import sys, time, json; before = time.process_time(); import atoll;"
        "spent = time.process_time() - before;"
        "print(json.dumps([spent * 1000, sorted(sys.modules)]))"
    )
    measured = [json.loads(fresh(code)) for _ in range(5)]
    heavy = {"httpx", "pydantic", "rich", "typer", "pandas", "pyarrow", "asyncio", "atoll.sdk"}
    assert not heavy & set(measured[0][1])
    assert min(spent for spent, _ in measured) <= BUDGET_MS


@pytest.mark.parametrize(
    "before",
    [
        "",
        "import atoll.datasets.client, atoll.jobs.client, atoll.checkpoints.client",
        "from atoll.datasets import models",
        "import atoll; atoll.dataset; import atoll.datasets.models",
        "import atoll.sdk",
        "import importlib, atoll.jobs; importlib.reload(atoll.jobs)",
    ],
)
def test_the_nouns_can_be_called_and_imported_from_in_any_order(before: str) -> None:
    checks = (
        "import atoll\n"
        "import atoll.datasets.client as client\n"
        "from atoll.jobs.models import Job\n"
        "assert client.datasets().path == 'datasets'\n"
        "from atoll.kit.errors import UnauthenticatedError\n"
        "for noun in (atoll.datasets, atoll.jobs, atoll.checkpoints):\n"
        "    try: noun()\n"
        "    except UnauthenticatedError as error: print(error.detail)\n"
        "print(atoll.submit.__module__, atoll.job.__name__)\n"
    )
    away = "import os; os.environ.update(XDG_CONFIG_HOME='/nonexistent');"
    gone = "[os.environ.pop(n, 0) for n in ('ATOLL_URL', 'ATOLL_TOKEN')]"
    said = fresh(f"{away}{gone}\n{before}\n{checks}").splitlines()
    assert said == ["You are not logged in."] * 3 + ["atoll.sdk job"]


def test_what_atoll_offers_is_what_it_lists() -> None:
    said = fresh("import atoll; print([getattr(atoll, name) and name for name in atoll.__all__])")
    assert said == str(
        ["checkpoint", "checkpoints", "dataset", "datasets", "job", "jobs", "submit"]
    )


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    assert fresh("import atoll; print(hasattr(atoll, 'nothing'))") == "False"


def test_a_call_brings_neither_a_command_line_nor_takes_it_from_others() -> None:
    code = (
        "import sys, atoll.kit.http; print(sorted({'rich', 'pygments', 'click'} & set(sys.modules)));"
        "import httpx._main; print(httpx._main.main.name)"
    )
    assert fresh(code).splitlines() == ["[]", "main"]
