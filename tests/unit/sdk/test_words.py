"""Sizes, durations and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from atoll.kit import words

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (312_000_000, "312 MB"),
        (999_600, "1.0 MB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_sizes(size: int | None, text: str) -> None:
    assert words.size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.41, "0.4 s"), (41, "41 s"), (134, "2:14"), (10934, "3:02:14")]
)
def test_durations(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=-5), "just now"),  # clocks differ
        (timedelta(seconds=3), "just now"),
        (timedelta(seconds=30), "30 s ago"),
        (timedelta(minutes=5), "5 min ago"),
        (timedelta(hours=3), "3 h ago"),
        (timedelta(days=3), "3 d ago"),
        (timedelta(days=9), "2026-01-01"),
    ],
)
def test_how_long_ago(passed: timedelta, text: str) -> None:
    assert words.ago(NOW - passed, NOW) == text
    assert words.ago((NOW - passed).replace(tzinfo=None), NOW) == text


def test_counts() -> None:
    assert words.count(1, "cell") == "1 cell"
    assert words.count(336776, "row") == "336,776 rows"
    assert words.count(None, "row") == "–"
