"""Names from URLs, and the directories that belong to them."""

from __future__ import annotations

from pathlib import Path

import pytest
from atoll.checkpoints.naming import checked_server, checked_user
from atoll.kit.errors import InvalidError, NotFoundError
from atoll.kit.names import directory_name
from hypothesis import given
from hypothesis import strategies as st


@given(st.text(min_size=1, max_size=300))
def test_a_directory_name_is_one_harmless_part_of_a_path(text: str) -> None:
    name = directory_name(text)

    assert Path(name).parts == (name,)
    assert name.isascii()
    assert not name.startswith((".", "-"))
    assert name == name.lower()
    assert 0 < len(name) <= 60


@given(st.text(min_size=1, max_size=80), st.text(min_size=1, max_size=80))
def test_different_texts_get_different_directories(one: str, other: str) -> None:
    assert (directory_name(one) == directory_name(other)) == (one == other)


@pytest.mark.parametrize("text", ["ada", "a-b", "a_b", "user1"])
def test_a_plain_name_stays_as_it_is(text: str) -> None:
    assert directory_name(text) == text


def test_a_name_that_looks_like_a_hashed_one_is_hashed_itself() -> None:
    hashed = directory_name("Ada")

    assert "--" in hashed
    assert directory_name(hashed) != hashed


@pytest.mark.parametrize(("segment", "name"), [("-", ""), ("gpu", "gpu"), ("a-b-1", "a-b-1")])
def test_servers_are_spelled_as_the_hub_names_them(segment: str, name: str) -> None:
    assert checked_server(segment) == name


@pytest.mark.parametrize("segment", ["..", "a--b", "a/b", "A", "1a", "a-", "a" * 31, "a\n"])
def test_other_names_are_no_servers(segment: str) -> None:
    with pytest.raises(InvalidError):
        checked_server(segment)


@pytest.mark.parametrize("user", ["", "a" * 256, "a/b", "a\nb", "\x1b[31m"])
def test_what_cannot_be_a_user_is_not_found(user: str) -> None:
    with pytest.raises(NotFoundError):
        checked_user(user)
