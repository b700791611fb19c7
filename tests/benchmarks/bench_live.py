"""Live saves of a real container with a writer in it, and the memory that a save takes.

The container stands still while its last changes are read; `ctr tasks pause` around containerd's Diff is what
others do: frozen the whole time.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from atoll.oci.layout import LayoutStore

from tests.benchmarks.bench_engine import Row, alone
from tests.benchmarks.bench_oci import _spread
from tests.contract.agent.node import BASE, Node, running_node, until

_RUNS = 3
_PEER_RUNS = 2
_WRITER = """
while [ ! -e /signs/go ]; do sleep 0.1; done
n=0; while :; do i=0; while [ $i -lt 10 ]; do n=$((n+1)); i=$((i+1));
echo $n > /data/p0/d$((n % 100))/live-$((n % 1000)); done; sleep 0.095; done
"""
MEGABYTE = 1 << 20


def many(root: Path, files: int, content: bytes, place: str = "data") -> None:
    """So many small files in `place`, forty to a directory."""
    for number in range(files // 40):
        directory = root / place / f"p{number // 100}" / f"d{number}"
        directory.mkdir(parents=True)
        for inner in range(40):
            descriptor = os.open(directory / f"file_{inner}.py", os.O_WRONLY | os.O_CREAT, 0o644)
            os.write(descriptor, content)
            os.close(descriptor)


def upper_of(node: Node, identity: str) -> Path:
    runtime = node.runtime()
    found = runtime.find(identity).upper
    runtime.close()
    return found


def waiting(node: Node, files: int, signs: Path) -> tuple[str, Path]:
    """A container with so many files in its layer, which writes once `signs/go` is there; its upper."""
    signs.mkdir(exist_ok=True)
    mount = f"type=bind,src={signs},dst=/signs,options=rbind:ro"
    identity = node.run(_WRITER, options=("--mount", mount))
    upper = upper_of(node, identity)
    many(upper, files, b"x" * 100)
    return identity, upper


def saved(node: Node, identity: str, area: Path, *how: str) -> tuple[float, float, list[str]]:
    """Seconds frozen, bytes resident, and the new layers, of a save in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.saving", str(node.socket), node.namespace]
    command += [identity, str(area / "layout"), str(area / "state"), *how]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, memory, *layers = done.stdout.splitlines()[-1].split()
    return float(seconds), float(memory), layers


def frozen(node: Node, area: Path, files: int) -> list[Row]:
    """How long a container with a writer stands still."""
    identity, upper = waiting(node, files, area / f"signs-{files}")
    (area / f"signs-{files}" / "go").touch()
    until((upper / "data/p0/d50/live-50").exists, "it writes", 30)
    ours, memory = [], []
    for _ in range(_RUNS):
        seconds, most, _ = saved(node, identity, area, "live")
        shutil.rmtree(area / "layout")
        ours.append(seconds)
        memory.append(most / MEGABYTE)
    peer = []
    for _ in range(_PEER_RUNS):
        began = time.perf_counter()
        node.ctr("tasks", "pause", identity)
        command = ["ctr", "-a", str(node.socket), "-n", node.namespace, "snapshots", "diff"]
        subprocess.run([*command, identity], stdout=subprocess.DEVNULL, check=True)
        node.ctr("tasks", "resume", identity)
        peer.append(time.perf_counter() - began)
    node.remove(identity)
    name = f"live: a writer of 100 files a second among {files:,}"
    row = alone(f"{name}: frozen", ours, "s", "≤ 0.5 s", met=max(ours) <= 0.5)
    row |= {
        "peer": statistics.median(peer),
        "peer_name": f"containerd's Diff, frozen throughout {_spread(peer)}",
        "ratio": statistics.median(peer) / statistics.median(ours),
    }
    return [row, alone(f"{name}: resident", memory, "MB", "≤ 200 MB", met=max(memory) <= 200)]


def resident(node: Node, area: Path, files: int) -> list[Row]:
    """The memory of a save: at rest, live, and where the image's layers become one with the container's.

    Each has to do with so many names. For the last, half of them are in a layer of the image.
    """
    node.ctr("containers", "create", BASE, "rest", "/bin/true")
    many(upper_of(node, "rest"), files // 2, b"x" * 100)
    own = saved(node, "rest", area)[2][-1]
    node.load(LayoutStore(area / "layout"), "half")
    shutil.rmtree(area / "layout")

    many(upper_of(node, "rest"), files // 2, b"x" * 100, "more")
    rows = [_memory(node, area, f"at rest: {files:,} files", "rest")]
    node.ctr("containers", "rm", "rest")

    identity, upper = waiting(node, files, area / "signs")
    (area / "signs" / "go").touch()
    until((upper / "data/p0/d50/live-50").exists, "it writes", 30)
    rows.append(_memory(node, area, f"live: {files:,} files", identity, "live"))
    node.remove(identity)

    node.ctr("containers", "create", "half:x", "merged", "/bin/true")
    many(upper_of(node, "merged"), files // 2, b"x" * 100, "more")
    rows.append(_memory(node, area, f"layers that become one, {files:,} files", "merged", own))
    node.ctr("containers", "rm", "merged")
    return rows


def _memory(node: Node, area: Path, name: str, identity: str, *how: str) -> Row:
    """The most that was resident in some saves of a container."""
    values = []
    for _ in range(_RUNS):
        values.append(saved(node, identity, area, *how)[1] / MEGABYTE)
        shutil.rmtree(area / "layout")
    return alone(f"{name}: resident", values, "MB", "≤ 200 MB", met=max(values) <= 200)


def measure() -> list[Row]:
    """All figures of this file, as `python -m tests.benchmarks live` prints them."""
    with tempfile.TemporaryDirectory(prefix="atoll-live-") as name, running_node() as node:
        area = Path(name)
        node.load_base()
        return [
            *frozen(node, area, 36_000),
            *frozen(node, area, 500_000),
            *resident(node, area, 1_000_000),
        ]
