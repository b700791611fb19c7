"""A figure of a benchmark as a row of the table and of build/bench.json."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

Row = dict[str, object]


def spread(values: Sequence[float]) -> str:
    """The least and the most."""
    return f"({min(values):.3g}–{max(values):.3g})"


def row(
    name: str,
    ours: Sequence[float],
    peer: Sequence[float] = (),
    peer_name: str = "",
    unit: str = "s",
    *,
    goal: str,
    met: bool,
) -> Row:
    """Medians and spreads; without a peer where it has no values."""
    median = statistics.median(ours)
    beside = statistics.median(peer) if peer else None
    return {
        "name": name,
        "ours": median,
        "spread": spread(ours),
        "peer": beside,
        "peer_name": f"{peer_name} {spread(peer)}" if peer else None,
        "unit": unit,
        "ratio": median / beside if beside else None,
        "goal": goal,
        "met": met,
    }


def at_most(
    name: str, ours: Sequence[float], peer: Sequence[float], peer_name: str, times: float
) -> Row:
    """Seconds that are to be at most `times` those of the peer."""
    met = statistics.median(ours) <= times * statistics.median(peer)
    return row(name, ours, peer, peer_name, goal=f"≤ {times:g}×", met=met)
