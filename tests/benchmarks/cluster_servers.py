"""Servers on a cluster, beside plain KubeSpawner on the same one: started, stopped, saved.

Both hubs are processes of this host, with servers of the same image and size on the same node, one
server at a time and taken in turn. The image is on the node.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from tests.benchmarks.plain_hub import PlainHub, plain_hub
from tests.benchmarks.rows import Row, row
from tests.benchmarks.servers import (
    PLAIN,
    change,
    gone,
    ours,
    saved,
    start,
    stop,
)
from tests.kubernetes.driver import objects
from tests.kubernetes.hub_on_host import Guest, Host
from tests.kubernetes.where import SINGLEUSER
from tests.platform.driver import eventually

ROUNDS = 10
SAVES = 3
CHANGED_MB = 300
MOST = 1.1
MORE_S = 1.0
SAVED_S = 10.0
_PEER = "plain KubeSpawner"


def _percentile(values: list[float], share: float) -> float:
    """The value that this share is at most, between the two nearest."""
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


class Rounds:
    """Both sides, one after the other: each round is a start and a stop of each."""

    def __init__(self, host: Host, hub: PlainHub) -> None:
        self._hub = hub
        self._ada, self._bo, self._plain = host.user("ada"), host.user("bo"), hub.user("ada")
        self.fresh: list[float] = []  # ours, of the profile's image
        self.again: list[float] = []  # ours, of the environment that was saved last
        self.plain: list[float] = []
        self.stops: list[float] = []
        self.plain_stops: list[float] = []

    def go(self, rounds: int) -> None:
        """So many rounds."""
        for number in range(rounds):
            self.plain.append(start(self._plain))
            self.plain_stops.append(stop(self._plain))
            eventually(lambda: objects("pods", self._hub.namespace), lambda found: not found)
            self.fresh.append(start(self._ada, environment="base"))
            self._end(self._ada)
            self.again.append(start(self._bo))
            self._bo.sh(f"echo {number} > /opt/environment/changed-{number}")
            self._end(self._bo)

    def forget(self) -> None:
        """What was measured so far does not count."""
        for values in (self.fresh, self.again, self.plain, self.stops, self.plain_stops):
            values.clear()

    def _end(self, guest: Guest) -> None:
        self.stops.append(stop(guest))
        saved(guest)
        gone(guest)


def _saves(guest: Guest) -> list[float]:
    """Seconds from the end of a stop to saved, of so much that was changed."""
    found = []
    for number in range(SAVES):
        start(guest, environment="base")
        change(guest, CHANGED_MB, str(number))
        stop(guest)
        found.append(saved(guest))
        gone(guest)
    return found


def _starts(name: str, mine: list[float], plain: list[float]) -> list[Row]:
    rows = []
    for share in (0.5, 0.95):
        one, other = _percentile(mine, share), _percentile(plain, share)
        figure = row(name, mine, plain, _PEER, goal=f"≤ {MOST:g}×", met=one <= MOST * other)
        ratio = one / other
        about = {"name": f"{name}, p{share * 100:.0f}", "ours": one, "peer": other, "ratio": ratio}
        rows.append({**figure, **about})
    return rows


def measure() -> list[Row]:
    """The figures, for the cluster that KUBECONFIG names."""
    with (
        tempfile.TemporaryDirectory(prefix="atoll-bench-") as name,
        ours(Path(name) / "ours") as host,
        plain_hub(Path(name) / "plain", SINGLEUSER, PLAIN) as hub,
    ):
        rounds = Rounds(host, hub)
        rounds.go(1)
        rounds.forget()
        began = time.perf_counter()
        rounds.go(ROUNDS)
        print(f"  {ROUNDS} rounds in {time.perf_counter() - began:.0f} s", flush=True)
        saves = _saves(host.user("cy"))
    most = statistics.median(rounds.plain_stops) + MORE_S
    return [
        *_starts("a server in a cluster, click to lab", rounds.fresh, rounds.plain),
        *_starts("a server in a cluster, its saved environment", rounds.again, rounds.plain),
        row(
            "the stop of a server in a cluster", rounds.stops, rounds.plain_stops, _PEER,
            goal=f"≤ its + {MORE_S:g} s", met=statistics.median(rounds.stops) <= most,
        ),
        row(
            f"saved after the stop, {CHANGED_MB} MB changed", saves,
            goal=f"≤ {SAVED_S:g} s", met=statistics.median(saves) <= SAVED_S,
        ),
    ]  # fmt: skip
