"""The printed link is worth one login, within a day."""

from __future__ import annotations

import time

import pytest
from atoll.hub import way_in
from atoll.kit.home import Home


@pytest.fixture
def home(tmp_path) -> Home:  # type: ignore[no-untyped-def]
    home = Home(tmp_path / "home")
    home.create()
    return home


def test_it_is_worth_one_login(home: Home) -> None:
    token = way_in.make(home)
    assert way_in.use_up(way_in.place(home), token)
    assert not way_in.use_up(way_in.place(home), token)


def test_another_token_does_not_use_it_up(home: Home) -> None:
    token = way_in.make(home)
    for wrong in ("", token[:-1], token + "x", "é"):
        assert not way_in.use_up(way_in.place(home), wrong)
    assert way_in.use_up(way_in.place(home), token)


def test_it_ends_after_a_day(home: Home) -> None:
    token = way_in.make(home)
    tomorrow = time.time() + way_in.VALID_S + 1
    assert not way_in.use_up(way_in.place(home), token, lambda: tomorrow)


def test_only_its_owner_can_read_it(home: Home) -> None:
    way_in.make(home)
    assert way_in.place(home).stat().st_mode & 0o777 == 0o600
