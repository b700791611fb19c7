"""`atoll jobs` and `atoll.submit`, against the whole service: real notebooks, real kernels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Shell


def write(path: Path, *sources: str, parameters: str = "") -> Path:
    """A notebook of code cells, of which the first holds the parameters where there are some."""
    cells = [(["parameters"], parameters)] if parameters else []
    cells += [([], source) for source in sources]
    document = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
        "cells": [
            {
                "id": f"cell-{number}",
                "cell_type": "code",
                "execution_count": None,
                "metadata": {"tags": tags},
                "outputs": [],
                "source": source,
            }
            for number, (tags, source) in enumerate(cells)
        ],
    }
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return write(tmp_path / "report.ipynb", "print('year', year + 1)", parameters="year = 1")


def test_a_notebook_is_submitted_waited_for_and_its_output_fetched(
    ada: Shell, report: Path
) -> None:
    submit = ("jobs", "submit", report.name, "-p", "year=2013", "--environment", "base")
    job = ada.atoll(*submit).stdout.strip()
    assert "succeeded" in ada.atoll("jobs", "wait", job).stderr
    assert ada.atoll("jobs", "output", job, "--text").stdout.strip() == "year 2014"
    ada.atoll("jobs", "output", job, "--to", "out.ipynb")
    assert json.loads((ada.folder / "out.ipynb").read_text()) == json.loads(
        ada.atoll("jobs", "output", job).stdout
    )
    shown = ada.json("jobs", "show", job)
    assert (shown["parameters"], shown["name"]) == ({"year": 2013}, "report.ipynb")
    assert job in ada.atoll("jobs", "list", "--status", "succeeded").stdout
    assert job not in ada.atoll("jobs", "list", "--status", "failed").stdout
    assert ada.atoll("jobs", "logs", job, "--follow").stdout
    ada.as_("bob").atoll("jobs", "show", job, status=4)
    ada.atoll("jobs", "delete", job, "--yes")
    ada.atoll("jobs", "show", job, status=4)


def test_the_exit_status_says_how_the_job_ended(ada: Shell) -> None:
    write(ada.folder / "bad.ipynb", "1 / 0")
    failed = ada.atoll("jobs", "submit", "bad.ipynb", "--environment", "base", "--wait", status=1)
    assert "ZeroDivisionError" in failed.stderr
    write(ada.folder / "long.ipynb", "import time; time.sleep(600)")
    job = ada.atoll("jobs", "submit", "long.ipynb", "--environment", "base").stdout.strip()
    assert "it goes on" in ada.atoll("jobs", "wait", job, "--timeout", "1s", status=124).stderr
    assert ada.atoll("jobs", "stop", job).stderr.splitlines()[-1].startswith("stopped")
    assert "It had ended already: stopped" in ada.atoll("jobs", "stop", job).stderr
    ada.atoll("jobs", "wait", job, status=7)


def test_the_same_from_python(ada: Shell, report: Path) -> None:
    code = (
        "import atoll\n"
        f"job = atoll.submit({str(report)!r}, {{'year': 7}}, environment='base', timeout=60)\n"
        "assert job.wait() is job\n"
        "print(job.status, job.output('out.ipynb').text.strip(), atoll.job(job.id).name)\n"
        "again = job.again()\n"
        "print(again.wait().parameters, [found.id for found in atoll.jobs(limit=1)] == [again.id])\n"
    )
    assert ada.python(code).splitlines() == [
        "succeeded year 8 report.ipynb",
        "{'year': 7} True",
    ]
    assert (ada.folder / "out.ipynb").is_file()


def test_a_failed_job_raises_what_a_person_needs_to_know(ada: Shell) -> None:
    path = write(ada.folder / "bad.ipynb", "print('before')", "{}['dest']")
    code = (
        "import atoll\n"
        "from atoll.jobs.handle import JobFailedError\n"
        f"job = atoll.submit({str(path)!r}, environment='base')\n"
        "try: job.wait()\n"
        "except JobFailedError as error: print(error.detail)\n"
        "print(job.wait(check=False).status, '|', job.output().text.strip())\n"
    )
    said = ada.python(code).splitlines()
    assert "KeyError" in said[0]
    assert "bad.ipynb" in said[0]
    assert said[-1] == "failed | before"


def test_bad_input_is_told_in_a_sentence(ada: Shell, report: Path) -> None:
    (ada.folder / "no.ipynb").write_text("not json")
    assert "no notebook" in ada.atoll("jobs", "submit", "no.ipynb", status=2).stderr
    assert "no file" in ada.atoll("jobs", "submit", "gone.ipynb", status=2).stderr
    assert "name=value" in ada.atoll("jobs", "submit", report.name, "-p", "x", status=2).stderr
    assert "1d" in ada.atoll("jobs", "submit", report.name, "--timeout", "x", status=2).stderr
    assert "queued" in ada.atoll("jobs", "list", "--status", "done", status=2).stderr
    number = ada.atoll("jobs", "submit", report.name, "-p", "year=abc", status=2).stderr
    assert "The parameter year is a number (1 in the notebook)" in " ".join(number.split())
    assert "-r year=abc" in " ".join(number.split())
    unknown = ada.atoll("jobs", "submit", report.name, "-p", "years=1", status=2).stderr
    assert "years" in unknown
    ada.atoll("jobs", "show", "j-0192f0c1a2b3c4d5e6f7a8", status=4)
    ada.atoll("jobs", "show", "../me", status=4)


def test_resources_that_have_no_effect_on_one_machine_are_told_so(ada: Shell, report: Path) -> None:
    submit = ("jobs", "submit", report.name, "--environment", "base")
    asked = ada.atoll(*submit, "--cpu", "0.5", "--memory", "64M")
    assert "0.5 CPUs, 64M of memory) has no effect here" in " ".join(asked.stderr.split())
    job = asked.stdout.strip()
    assert "64M of memory (no effect here" in ada.atoll("jobs", "show", job).stdout
    shown = ada.json("jobs", "show", job)
    assert (shown["resources"]["memory"], shown["resources_unused"]) == ("64M", True)
    assert "no effect" not in ada.atoll(*submit).stderr
    code = (
        "import warnings, atoll\n"
        "with warnings.catch_warnings(record=True) as told:\n"
        "    warnings.simplefilter('always')\n"
        f"    job = atoll.submit({str(report)!r}, environment='base', memory='64M')\n"
        "print(job.id[:2], *(str(one.message) for one in told), told[0].filename)\n"
    )
    said = ada.python(code)
    assert said.startswith("j- What it asks for (64M of memory) has no effect here")
    assert said.endswith("<string>"), "the line of who submits it"
