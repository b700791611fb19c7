"""Checkpoints into a registry: a directory written and pushed in one pass, and an image copied there.

The registry is Debian's docker-registry on this machine, a fresh one for each run; the peer is skopeo.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

from atoll.oci.directory import DirectorySource
from atoll.oci.image import Descriptor
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.publish import append_layer, create_base, export
from atoll.oci.registry import RegistryStore
from atoll.oci.store import Store

from tests.benchmarks.bench_oci import NOW, _area, _make, _spread, _timed
from tests.contract.registry.servers import Running, started

FILES, BYTES = 7_000, 200 << 20
RUNS = 5


def _save(root: Path, store: Store) -> Descriptor:
    """Everything that a first checkpoint is: scan, layer, image in the store."""
    base = create_base(store, "base", labels={}, created=NOW)
    layer = write_layer(DirectorySource(root, owner=(0, 0)), store)
    return append_layer(store, base.digest, layer, name="ck", created=NOW)


def _push(root: Path, there: Running) -> None:
    with RegistryStore(there.reached(), "bench") as store:
        _save(root, store)


def _save_then_skopeo(root: Path, area: Path, there: Running) -> None:
    _save(root, LayoutStore(area / "two-steps"))
    _skopeo(area / "two-steps", there)


def _skopeo(layout: Path, there: Running) -> None:
    target = f"docker://{there.address}/bench:ck"
    subprocess.run(
        ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}:ck", target],
        check=True,
    )


def _export(layout: Path, digest: str, there: Running) -> None:
    with RegistryStore(there.reached(), "bench") as store:
        export(LayoutStore(layout), digest, store, name="ck")


def _fresh(area: Path, work: Callable[[Running], None]) -> float:
    """The seconds of `work` with a registry that holds nothing yet."""
    try:
        with started(area / "registry") as there:
            return _timed(lambda: work(there))
    finally:
        for left in ("registry", "two-steps"):
            shutil.rmtree(area / left, ignore_errors=True)


def _row(
    name: str, ours: list[float], peer: list[float], peer_name: str, most: float
) -> dict[str, object]:
    ratio = statistics.median(ours) / statistics.median(peer)
    return {
        "name": name,
        "ours": statistics.median(ours),
        "spread": _spread(ours),
        "peer": statistics.median(peer),
        "peer_name": f"{peer_name} {_spread(peer)}",
        "unit": "s",
        "ratio": ratio,
        "goal": f"≤ {most:g}×",
        "met": ratio <= most,
    }


def measure() -> list[dict[str, object]]:
    """All figures of this file, as `python -m tests.benchmarks` prints them."""
    with _area() as area:
        root, layout = area / "changed", area / "layout"
        _make(root, FILES, BYTES, seed=3)
        image = _save(root, LayoutStore(layout))
        one_pass, two_steps, ours, theirs = [], [], [], []
        for _ in range(RUNS):
            two_steps.append(_fresh(area, lambda there: _save_then_skopeo(root, area, there)))
            one_pass.append(_fresh(area, lambda there: _push(root, there)))
            theirs.append(_fresh(area, lambda there: _skopeo(layout, there)))
            ours.append(_fresh(area, lambda there: _export(layout, image.digest, there)))
        size = f"{BYTES >> 20} MiB in {FILES:,} files"
        return [
            _row(
                f"save and push: {size}", one_pass, two_steps, "our layout, then skopeo copy", 1.0
            ),
            _row(
                f"push of the same image from a layout ({size})", ours, theirs, "skopeo copy", 1.2
            ),
        ]
