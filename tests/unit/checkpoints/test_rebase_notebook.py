"""The cells of a rebase's notebook, one at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from atoll.checkpoints.rebase_notebook import notebook


def cell(with_: str) -> str:
    """The source of the code cell that has this in it."""
    cells = notebook("x")["cells"]
    [found] = [
        one["source"] for one in cells if one["cell_type"] == "code" and with_ in one["source"]
    ]
    return str(found)


@pytest.fixture
def tools() -> Iterator[dict[str, Any]]:
    source = cell("def run").replace('pip("check")[1]', "[]")
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102  # the platform's own
    yield names


def test_what_does_not_end_is_ended_with_all_that_it_started(tools: dict[str, Any]) -> None:
    code = "import subprocess; print('here', flush=True); subprocess.run(['sleep', '1000'])"
    began = time.monotonic()

    worked, lines = tools["run"]("-c", code, most_s=2)

    assert (worked, lines) == (False, ["here", "not within 2 seconds"])
    assert time.monotonic() - began < 60
    assert tools["run"]("-c", "print(1)", most_s=60) == (True, ["1"])
    assert tools["run"]("-c", "print(1)") == (True, ["1"])


def test_each_import_has_a_minute() -> None:
    given: list[tuple[str, object]] = []

    def run(*words: str, most_s: object = None) -> tuple[bool, list[str]]:
        given.append((words[-1], most_s))
        return words[-1] != "slow", ["not within 60 seconds"]

    names: dict[str, Any] = {"run": run, "found": {"a": ["1", ["slow"]], "b": ["1", ["quick"]]}}
    exec(cell("ipykernel"), names)  # noqa: S102  # the platform's own

    assert given == [("import ipykernel.kernelapp", 60), ("slow", 60), ("quick", 60)]
    assert names["imports"] == {"a": "not within 60 seconds"}
