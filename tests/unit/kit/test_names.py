"""Names: hostile ones are refused with a sentence, ids sort by time."""

from __future__ import annotations

import time

import pytest
from atoll.kit.errors import InvalidError
from atoll.kit.names import checked_name, is_id, new_id, server_name, server_segment


@pytest.mark.parametrize("name", ["flights", "sales.orders", "a", "x-1_2.b", "a" * 63])
def test_plain_names_pass(name: str) -> None:
    assert checked_name(name, "dataset") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../x",
        "a/b",
        "Größe",
        "has space",
        "a" * 64,
        "a" * 300,
        "-a",
        "a..b",
        "a\n",
        "a\x00",
        "1a",
    ],
)
def test_names_that_could_do_harm_are_refused_with_what_a_name_may_be(name: str) -> None:
    with pytest.raises(InvalidError) as raised:
        checked_name(name, "dataset")
    assert "lower-case letters" in str(raised.value)
    assert len(str(raised.value)) < 400


def test_an_id_cannot_be_taken_for_a_name() -> None:
    with pytest.raises(InvalidError):
        checked_name(new_id("d"), "dataset")


def test_ids_sort_by_the_time_they_were_made() -> None:
    first = new_id("j")
    while time.time_ns() // 1_000_000 == int(first[2:14], 16):
        pass
    assert first < new_id("j")
    assert is_id(first)


def test_the_default_server_has_a_segment_that_no_named_server_can_have() -> None:
    assert server_segment("") == "-"
    assert server_name("-") == ""
    assert server_name(server_segment("gpu")) == "gpu"
