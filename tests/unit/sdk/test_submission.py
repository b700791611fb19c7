"""What people give becomes a request that is right, or a sentence that says what is wrong."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from atoll.jobs import client, submission
from atoll.kit.errors import InvalidError
from hypothesis import given
from hypothesis import strategies as st
from papermill.cli import _resolve_type

DOCUMENT = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    path = tmp_path / "report.ipynb"
    path.write_text(json.dumps(DOCUMENT))
    return path


def test_what_is_not_said_is_left_to_the_platform(notebook: Path) -> None:
    request = submission.request(notebook, {})
    assert json.loads(request.model_dump_json(exclude_unset=True)) == {
        "name": "report.ipynb",
        "notebook": DOCUMENT,
        "parameters": {},
        "environment": "server",
        "queue": "default",
    }


def test_outputs_stay_here(tmp_path: Path) -> None:
    code = {"cell_type": "code", "source": "1", "outputs": [{"text": "x"}], "execution_count": 3}
    text = {"cell_type": "markdown", "source": "# 1", "attachments": {"a": {}}}
    document = {**DOCUMENT, "cells": [code, text, "odd"]}
    sent = submission.request(document, {}).notebook
    assert sent["cells"] == [{**code, "outputs": [], "execution_count": None}, text, "odd"]
    assert code["execution_count"] == 3, "the caller's own stays as it is"


def test_in_a_server_the_job_starts_where_the_notebook_lies(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    assert submission.request(notebook, {}).folder == tmp_path.name
    monkeypatch.chdir(tmp_path)
    assert submission.request("report.ipynb", {}).folder == tmp_path.name
    monkeypatch.setenv("HOME", str(tmp_path))
    assert submission.request(notebook, {}).folder == "."
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    assert submission.request(notebook, {}).folder == ""


def test_what_is_said_is_sent(notebook: Path) -> None:
    request = submission.request(
        notebook, {"year": 2013}, environment="base", server="-", timeout_s=0.2, name="mine"
    )
    assert (request.server, request.timeout_s, request.name) == ("-", 1, "mine")
    assert request.parameters == {"year": 2013}


@pytest.mark.parametrize("environment", ["", "latest", "sha256:1", "image:tag"])
def test_an_environment_that_cannot_be_is_refused_here(notebook: Path, environment: str) -> None:
    with pytest.raises(InvalidError, match="server, last, base or a checkpoint's digest"):
        submission.request(notebook, {}, environment=environment)


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b'{"nbformat": 4}', b"\xff\xfe"])
def test_a_file_that_is_no_notebook_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.ipynb"
    path.write_bytes(content)
    with pytest.raises(InvalidError, match=r"x\.ipynb' is no notebook"):
        submission.request(path, {})


def test_a_file_that_is_not_there_or_is_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="There is no file"):
        submission.request(tmp_path / "none.ipynb", {})
    with pytest.raises(InvalidError, match="cannot be read"):
        submission.request(tmp_path, {})


def test_what_is_no_notebook_is_told_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("# Atoll")
    with pytest.raises(InvalidError) as error:
        submission.request(path, {})
    assert "it holds something else" in error.value.detail
    assert "line 1" not in str(error.value)


@given(
    st.text() | st.integers().map(str) | st.floats(allow_nan=False, allow_infinity=False).map(str)
)
def test_values_of_a_command_line_are_typed_as_papermill_types_them(text: str) -> None:
    ours, theirs = submission.typed(text), _resolve_type(text)
    if isinstance(theirs, float) and not math.isfinite(theirs):
        theirs = text  # JSON has no infinity
    if isinstance(ours, float) and ours != theirs:
        assert float(theirs) == ours  # such as 1e5, which papermill takes for a number too
    else:
        assert ours == theirs or (text == "None" and ours is None)


def test_parameters_of_a_command_line() -> None:
    assert submission.assignments(["a=1", "b=x=y", "c=", "d=null"]) == {
        "a": 1,
        "b": "x=y",
        "c": "",
        "d": None,
    }
    assert submission.assignments(["a=1"], raw=True) == {"a": "1"}


CELL = (
    "month = 7\nshare = 0.5\nflag = True\nname = 'x'\nxs = [1]\nnames = {}\n"
    "free = None\nsoon = 1 + 1\nwhole: int = None\n"
)


def with_parameters() -> dict[str, object]:
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": CELL}
    return {**DOCUMENT, "cells": [cell]}


@pytest.mark.parametrize(
    "option",
    ["month=abc", "month=", "share=half", "flag=true", "xs=1,2", "xs=3", "names=a", "whole=x"],
)
def test_a_value_that_the_default_cannot_be_is_refused_with_a_way_out(option: str) -> None:
    typed = submission.assignments([option])
    with pytest.raises(InvalidError, match=f"-r {option}"):
        submission.check_typed(with_parameters(), typed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "option",
    ["month=8", "month=8.5", "month=null", "share=1", "flag=False", "flag=0", "name=2013",
     "xs=null", "free=x", "soon=x", "unknown=x"],
)  # fmt: skip
def test_a_value_that_the_default_can_be_passes(option: str) -> None:
    typed = submission.assignments([option])
    submission.check_typed(with_parameters(), typed)  # type: ignore[arg-type]
    submission.check_typed(DOCUMENT, typed)  # type: ignore[arg-type]


@pytest.mark.parametrize("option", ["a", "=1", "a b=1", "1a=2"])
def test_an_option_that_is_no_parameter_is_shown(option: str) -> None:
    with pytest.raises(InvalidError, match=r"Write name=value"):
        submission.assignments([option])


def test_values_of_python_become_json() -> None:
    given = {
        "count": np.int64(3),
        "share": np.float32(0.5),
        "flag": np.bool_(True),
        "days": pd.DatetimeIndex(["2013-01-01"]).year,
        "when": datetime(2013, 1, 2, 3, tzinfo=UTC),
        "day": date(2013, 1, 2),
        "path": Path("a/b"),
        "nested": {1: (np.int8(1), [None])},
    }
    assert submission.as_json(given) == {
        "count": 3,
        "share": 0.5,
        "flag": True,
        "days": [2013],
        "when": "2013-01-02T03:00:00+00:00",
        "day": "2013-01-02",
        "path": "a/b",
        "nested": {"1": [1, [None]]},
    }


@pytest.mark.parametrize("value", [object(), float("nan"), float("inf"), {"deep": [object()]}])
def test_a_value_that_a_job_cannot_be_given_is_named(value: object) -> None:
    with pytest.raises(InvalidError, match="The parameter x"):
        submission.as_json({"x": value})


@pytest.mark.parametrize("parameters", [[1], "year=1", 3, [("year", 1)]])
def test_parameters_that_are_no_dictionary_are_told_what_to_be(parameters: object) -> None:
    with pytest.raises(InvalidError, match=r"The parameters are of the type .*dictionary"):
        submission.request(DOCUMENT, parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [1, None, (1, 2)])
def test_a_name_of_a_parameter_that_is_no_text_is_shown(name: object) -> None:
    with pytest.raises(InvalidError, match="is no name of a parameter"):
        submission.request(DOCUMENT, {name: 2})  # type: ignore[dict-item]


def test_a_value_that_holds_itself_is_named() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(InvalidError, match="The parameter x nests too deep"):
        submission.as_json({"x": endless})


@pytest.mark.parametrize("notebook", [3, None, b"x.ipynb", ["x.ipynb"]])
def test_a_notebook_that_is_neither_a_path_nor_a_document_is_told_so(notebook: object) -> None:
    with pytest.raises(InvalidError, match=r"The notebook is of the type .*path"):
        submission.request(notebook, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", ["x", "30m", [], 0, -5, math.nan, math.inf])
def test_a_time_limit_that_is_none_is_shown(timeout: object) -> None:
    with pytest.raises(InvalidError, match="is no time limit"):
        submission.request(DOCUMENT, {}, timeout_s=timeout)  # type: ignore[arg-type]


@pytest.mark.parametrize("files", ["data.csv", 3, [3], {"a": "b"}])
def test_files_that_are_no_list_of_paths_are_shown(files: object) -> None:
    with pytest.raises(InvalidError, match="Give a list of paths"):
        submission.request(DOCUMENT, {}, files=files)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"environment": 3}, {"name": 3}, {"cpu": "x"}, {"server": 3},
                                   {"retries": "x"}, {"memory": 4}, {"gpu": []}])  # fmt: skip
def test_anything_else_of_the_wrong_kind_is_refused_in_a_sentence(given: dict[str, object]) -> None:
    with pytest.raises(InvalidError):
        submission.request(DOCUMENT, {}, **given)  # type: ignore[arg-type]


def test_text_that_json_cannot_carry_is_refused_where_it_would_be_sent() -> None:
    asked = submission.request({**DOCUMENT, "cells": ["\ud800"]}, {"x": "\ud800"})
    with pytest.raises(InvalidError, match="JSON cannot carry"):
        client.submit(asked).request()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1.5h", 5400), ("1d", 86400)]
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert submission.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1w", "1h30"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="no length of time"):
        submission.seconds(text)


def test_a_status_that_no_job_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidError, match="queued, admitted, starting"):
        submission.status("done")
