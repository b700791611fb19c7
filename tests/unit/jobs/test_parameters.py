"""The parameters cell, as it is and as nobody should write it."""

from __future__ import annotations

import keyword
import time

import pytest
from atoll.jobs.parameters import parameters_of
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("source", "name", "default", "type_", "shown", "help_"),
    [
        ("n = 1", "n", 1, "int", "1", ""),
        ("n = -1.5  # how much", "n", -1.5, "float", "-1.5", "how much"),
        ("s = 'it''s # none'", "s", "its # none", "str", "'it''s # none'", ""),
        ("b = True", "b", True, "bool", "True", ""),
        ("x = None", "x", None, "None", "None", ""),
        ("x: int = None", "x", None, "int", "None", ""),
        ("x: 'str | None' = None", "x", None, "None", "None", ""),
        ("x: str | None = None", "x", None, "str", "None", ""),
        ("x: list[int] = make()", "x", None, "list", "make()", ""),
        ("m = [1, 'two',  # one\n     None]  # many", "m", [1, "two", None], "list", None, "many"),
        ("t = (1, 2)", "t", [1, 2], "list", "(1, 2)", ""),
        ("d = {'a': {'b': 1}}", "d", {"a": {"b": 1}}, "dict", "{'a': {'b': 1}}", ""),
        ("d = {1: 2}", "d", None, "other", "{1: 2}", ""),
        ("f = float('nan')", "f", None, "other", "float('nan')", ""),
        ("e = 9 ** 9 ** 9", "e", None, "other", "9 ** 9 ** 9", ""),
        ("i = 1e999", "i", None, "other", "1e999", ""),
        ("c = 1j", "c", None, "other", "1j", ""),
        ("y = b'x'", "y", None, "other", "b'x'", ""),
        ("%matplotlib inline\nn = 2", "n", 2, "int", "2", ""),
        ("n = 1\nn = 2", "n", 2, "int", "2", ""),
        ("ñ_1 = 'é'", "ñ_1", "é", "str", "'é'", ""),
        ("é = '漢'; x: 'é' = ['é',\n 1]; del é", "x", ["é", 1], "list", "['é',\n 1]", ""),
    ],
)
def test_a_parameter_is_read_from_its_assignment(
    *, source: str, name: str, default: object, type_: str, shown: str | None, help_: str
) -> None:
    found = parameters_of(source)[-1]

    assert (found.name, found.default, found.type) == (name, default, type_)
    assert shown is None or found.source == shown
    assert found.help == help_


@pytest.mark.parametrize(
    "source",
    [
        "",
        "# nothing",
        "def f(): x = 1",
        "if True:\n    x = 1",
        "a.b = 1",
        "a[0] = 1",
        "a, b = 1, 2",
        "x: int",
        "x +=",
        "\0",
        "(" * 10_000,
        "x = " + "[" * 5000 + "]" * 5000,
        "x = " + "-" * 100_000 + "1",
        "x = 1\n" * 20_000,
    ],
)
def test_what_assigns_no_plain_name_has_no_parameters(source: str) -> None:
    assert parameters_of(source) == []


def test_one_value_for_two_names_makes_two_parameters() -> None:
    assert [(p.name, p.default) for p in parameters_of("a = b = 3")] == [("a", 3), ("b", 3)]


@pytest.mark.parametrize(
    "source",
    [
        "\n".join(f"a{number} = {number}" for number in range(4000)),
        " = ".join(f"a{number}" for number in range(4000)) + f" = {list(range(5000))}",
    ],
    ids=["many statements", "many names"],
)
def test_a_long_cell_is_read_in_no_time(source: str) -> None:
    began = time.process_time()

    found = parameters_of(source)

    assert time.process_time() - began < 20  # seconds of a busy machine
    assert [parameter.name for parameter in found] == [f"a{number}" for number in range(200)]


names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: not keyword.iskeyword(name)
)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(names, plain, max_size=5))
def test_every_literal_comes_back(values: dict[str, object]) -> None:
    source = "\n".join(f"{name} = {value!r}" for name, value in values.items())

    assert {p.name: p.default for p in parameters_of(source)} == values


@given(st.text())
def test_no_source_breaks_it(source: str) -> None:
    parameters_of(source)
