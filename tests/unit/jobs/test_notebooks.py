"""Notebooks as files and as JSON: what is taken, and what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from atoll.jobs import notebooks
from atoll.jobs.notebooks import Kernel
from atoll.kit.errors import InvalidError, TooLargeError
from pydantic import JsonValue

CELL: dict[str, JsonValue] = {
    "cell_type": "code",
    "metadata": {"tags": ["parameters"]},
    "source": ["n = 1\n", "k = 2"],
}
GOOD: dict[str, JsonValue] = {
    "nbformat": 4,
    "metadata": {"kernelspec": {"name": "python3", "language": "python"}},
    "cells": [CELL],
}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (b"[]", "no object"),
        (b"{}", "nbformat"),
        (b'{"nbformat": 3, "worksheets": []}', "format '3'"),
        (b'{"nbformat": "4", "cells": []}', "format '4'"),
        (b'{"nbformat": 4, "metadata": [], "cells": []}', "metadata"),
        (b'{"nbformat": 4}', "cells"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "x", "source": ""}]}', "type"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}', "source"),
    ],
)
def test_what_is_no_notebook_is_refused_with_the_reason(content: str | bytes, said: str) -> None:
    with pytest.raises(InvalidError, match=said) as refused:
        notebooks.read_notebook(content)

    assert refused.value.hint


def test_a_notebook_is_read_as_it_is() -> None:
    assert notebooks.read_notebook(json.dumps(GOOD)) == GOOD
    assert notebooks.code_cells(GOOD) == 1
    assert [p.name for p in notebooks.parameters(GOOD)] == ["n", "k"]


def test_the_language_is_the_notebooks_else_the_kernels() -> None:
    bare = {**GOOD, "metadata": {"kernelspec": {"name": "ir"}}}

    assert notebooks.kernel_of(GOOD, {"python3": ""}) == Kernel("python3", "python")
    assert notebooks.kernel_of(bare, {"ir": "R"}) == Kernel("ir", "R")


@pytest.mark.parametrize("name", ["ir", "../python3", "", 5, None, "python3 "])
def test_a_kernel_that_is_not_known_is_refused_with_those_that_are(name: JsonValue) -> None:
    document = {**GOOD, "metadata": {"kernelspec": {"name": name}}}

    with pytest.raises(InvalidError, match="kernel"):
        notebooks.kernel_of(document, {"python3": "python"})


def test_parameters_need_a_language_that_they_can_be_written_in() -> None:
    with pytest.raises(InvalidError, match="'cobol'"):
        notebooks.check_parameters(GOOD, Kernel("cobol", "cobol"), {"n": 1})
    notebooks.check_parameters(GOOD, Kernel("cobol", "cobol"), {})
    notebooks.check_parameters(GOOD, Kernel("ir", "R"), {"anything": 1})
    with pytest.raises(InvalidError, match="name of a parameter"):
        notebooks.check_parameters(GOOD, Kernel("ir", "R"), {"x; system('ls')": 1})


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": {"b": float("-inf")}}])
def test_values_that_json_cannot_carry_are_refused(value: JsonValue) -> None:
    with pytest.raises(InvalidError, match="NaN"):
        notebooks.check_parameters(GOOD, Kernel("python3", "python"), {"n": value})


def test_data_is_no_parameter() -> None:
    with pytest.raises(TooLargeError, match="1 MB"):
        notebooks.check_parameters(GOOD, Kernel("python3", "python"), {"n": "x" * (2 << 20)})


def test_kernels_are_found_and_broken_ones_are_not_offered(tmp_path: Path) -> None:
    for name, content in (("ir", '{"language": "R"}'), ("bad", "{"), ("odd", "[]")):
        folder = tmp_path / "kernels" / name
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(content)

    assert notebooks.kernels_in([tmp_path, tmp_path / "none"]) == {"ir": "R"}
