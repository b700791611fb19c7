"""Which idle servers are stopped."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from atoll.hub.arbiter import Arbiter

ARBITER = Arbiter(default_s=100, by_profile={"gpu": 10, "long": 0})


@pytest.mark.parametrize(
    ("options", "idle_s", "culled"),
    [
        ({"profile": "gpu"}, 10, True),
        ({"profile": "gpu"}, 9, False),
        ({"profile": "long"}, 10_000, False),
        ({"profile": "cpu"}, 99, False),
        ({"profile": "cpu"}, 100, True),
        ({}, 100, True),
        (None, 100, True),
    ],
)
def test_a_server_is_idle_by_the_rule_of_its_profile(
    options: dict[str, Any] | None, idle_s: int, culled: bool
) -> None:
    server = {"name": "", "user_options": options}
    assert ARBITER(inactive=timedelta(seconds=idle_s), server=server) is culled


def test_a_server_that_was_never_seen_active_is_left_alone() -> None:
    assert not ARBITER(inactive=None, server={"user_options": {"profile": "gpu"}})
