"""Checkpoints of a directory: scanning it, and writing what changed as a layer.

The trees are made in memory (`/dev/shm`) where there is room, ours and the peer's output beside them,
so that the disk of the day neither helps nor hinders; each figure is the median of several runs, ours
and the peer's taken in turn.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from atoll.oci.changes import changes
from atoll.oci.directory import DirectorySource
from atoll.oci.index import Index
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.overlay import OverlaySource
from atoll.oci.overlay_changes import scan
from atoll.oci.publish import append_layer, create_base
from atoll.oci.unpack import unpack
from atoll.oci.walk import index_of
from atoll.oci.watch import Watch

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

RUNS = 5
FILES, BYTES = 10_000, 300 << 20
SCANNED = 36_000  # files of a site-packages of scientific Python
_PIPE = "tar c . | zstd -1 -T0 -q | sha256sum >/dev/null"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
_NEEDED = 4 * BYTES  # the tree, the peer's tar, our store, a restored tree


@contextmanager
def _area() -> Iterator[Path]:
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2 * _NEEDED
    with tempfile.TemporaryDirectory(prefix="atoll-bench-", dir=memory if roomy else None) as name:
        yield Path(name)


def _source_text() -> bytes:
    """Real content: the standard library's own sources and extension modules, one after the other."""
    library = Path(os.__file__).parent
    kinds = ("*.py", "lib-dynload/*.so")
    parts = [path.read_bytes() for kind in kinds for path in sorted(library.glob(kind))]
    return b"".join(parts)


def _make(root: Path, files: int, size: int, seed: int) -> None:
    """A tree like an installed package: many small files, few large ones, forty to a directory."""
    text, dice = _source_text(), random.Random(seed)
    weights = [dice.paretovariate(1.1) for _ in range(files)]
    scale = size / sum(weights)
    for number, weight in enumerate(weights):
        directory = root / f"package{number // 400}" / f"module{number // 40}"
        if number % 40 == 0:
            directory.mkdir(parents=True, exist_ok=True)
        length = int(weight * scale)
        start = dice.randrange(len(text))
        content = text[start : start + length]
        while len(content) < length:
            content += text[: length - len(content)]
        (directory / f"file_{number}.py").write_bytes(content)


class _HashedFile(io.FileIO):
    """A file that hashes what is written to it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w")
        self.digest = hashlib.sha256()

    def write(self, data: ReadableBuffer) -> int:
        self.digest.update(data)
        return super().write(data)


def _peer_tar(root: Path, target: Path) -> None:
    """The peer at its best: large copies, large writes, no stream in between."""
    with (
        _HashedFile(target) as file,
        io.BufferedWriter(file, 1 << 20) as buffered,
        tarfile.TarFile(
            fileobj=buffered, mode="w", format=tarfile.PAX_FORMAT, copybufsize=1 << 20
        ) as tar,
    ):
        tar.add(root, arcname=".")
        buffered.flush()
        os.fsync(file.fileno())
    target.unlink()


def _checkpoint(root: Path, area: Path) -> None:
    """Everything that saving a first checkpoint is: scan, layer, image in the store, index on disk."""
    store = LayoutStore(area / "store")
    base = create_base(store, "base", labels={}, created=NOW)
    source = DirectorySource(root, owner=(0, 0))
    layer = write_layer(source, store)
    image = append_layer(store, base.digest, layer, name="ck", created=NOW)
    source.index(image=image.digest).save(area / "index")
    shutil.rmtree(store.path)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _spread(times: list[float]) -> str:
    return f"({min(times):.3g}–{max(times):.3g})"


def _changed(area: Path) -> dict[str, object]:
    root = area / "changed"
    _make(root, FILES, BYTES, seed=1)
    ours, peer = [], []
    for _ in range(RUNS):
        peer.append(_timed(lambda: _peer_tar(root, area / "peer.tar")))
        ours.append(_timed(lambda: _checkpoint(root, area)))
    ratio = statistics.median(ours) / statistics.median(peer)
    return {
        "name": f"checkpoint: {BYTES >> 20} MiB in {FILES:,} files changed",
        "ours": statistics.median(ours),
        "spread": _spread(ours),
        "peer": statistics.median(peer),
        "peer_name": f"tarfile + sha256, uncompressed {_spread(peer)}",
        "unit": "s",
        "ratio": ratio,
        "goal": "≤ 2.5× (approach 1.5×)",
        "met": ratio <= 2.5,
    }


def _restored(area: Path) -> dict[str, object]:
    """Start from a checkpoint, beside untarring the same files with the digest checked."""
    root = area / "changed"
    store = LayoutStore(area / "store")
    base = create_base(store, "base", labels={}, created=NOW)
    layer = write_layer(DirectorySource(root, owner=(0, 0)), store)
    image = append_layer(store, base.digest, layer, name="ck", created=NOW)
    plain = area / "peer.tar"
    with tarfile.open(plain, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(root, arcname=".")
    shutil.rmtree(root)

    def untar() -> None:
        with plain.open("rb") as file:
            hashlib.file_digest(file, "sha256")
        with tarfile.open(plain) as tar:
            tar.extractall(area / "untarred", filter="data")

    ours, peer = [], []
    for _ in range(3):
        ours.append(_timed(lambda: unpack(store, image.digest, area / "restored")))
        peer.append(_timed(untar))
        for name in ("restored", "untarred"):
            shutil.rmtree(area / name)
    ratio = statistics.median(ours) / statistics.median(peer)
    return {
        "name": f"restore: {BYTES >> 20} MiB in {FILES:,} files",
        "ours": statistics.median(ours),
        "spread": _spread(ours),
        "peer": statistics.median(peer),
        "peer_name": f"sha256 + tarfile, uncompressed {_spread(peer)}",
        "unit": "s",
        "ratio": ratio,
        "goal": "≤ 1.5×",
        "met": ratio <= 1.5,
    }


def _unchanged(area: Path) -> list[dict[str, object]]:
    root = area / "scanned"
    _make(root, SCANNED, SCANNED * 2000, seed=2)
    index = index_of(root)
    store = LayoutStore(area / "scanned-store")

    def nothing_to_save() -> None:
        assert write_layer(DirectorySource(root, since=index), store).entries == 0

    saves = [_timed(nothing_to_save) for _ in range(RUNS)]
    scans = [_timed(lambda: changes(root, since=index)) for _ in range(RUNS)]
    stats = [_timed(lambda: sum(len(f) for _, _, f in os.walk(root))) for _ in range(RUNS)]
    rate, walk = (len(index) / statistics.median(times) for times in (scans, stats))
    return [
        {
            "name": f"checkpoint: nothing changed among {SCANNED:,} files",
            "ours": statistics.median(saves),
            "spread": _spread(saves),
            "peer": None,
            "peer_name": None,
            "unit": "s",
            "ratio": None,
            "goal": "≤ 0.3 s",
            "met": statistics.median(saves) <= 0.3,
        },
        {
            "name": "what has changed: entries a second",
            "ours": rate,
            "spread": _spread([len(index) / t for t in scans]),
            "peer": walk,
            "peer_name": "os.walk, names only",
            "unit": "/s",
            "ratio": rate / walk,
            "goal": "≥ 100,000 /s",
            "met": rate >= 100_000,
        },
    ]


def _overlay(area: Path) -> list[dict[str, object]]:
    """A container's upper directory as a layer, and the look at it before; real files' sizes."""
    upper = area / "upper"
    upper.mkdir()
    _make(upper, SCANNED, 1 << 30, seed=3)

    def layer() -> None:
        store = LayoutStore(area / "overlay-store")
        write_layer(OverlaySource(upper, ()), store)
        shutil.rmtree(store.path)

    ours, peer, limit = [], [], []
    for _ in range(RUNS):
        peer.append(_timed(lambda: _peer_tar(upper, area / "peer.tar")))
        ours.append(_timed(layer))
        limit.append(_timed(lambda: subprocess.run(_PIPE, cwd=upper, shell=True, check=True)))  # noqa: S602
    entries = scan(upper).entries
    scans = [_timed(lambda: scan(upper)) for _ in range(RUNS)]
    rate = entries / statistics.median(scans)
    ratio = statistics.median(ours) / statistics.median(peer)
    to_limit = statistics.median(ours) / statistics.median(limit)
    row = {
        "name": f"overlay: 1 GiB in {SCANNED:,} files to a layer",
        "ours": statistics.median(ours),
        "spread": _spread(ours),
        "unit": "s",
    }
    return [
        {
            **row,
            "peer": statistics.median(peer),
            "peer_name": f"tarfile + sha256, uncompressed {_spread(peer)}",
            "ratio": ratio,
            "goal": "≤ 2.0×",
            "met": ratio <= 2.0,
        },
        {
            **row,
            "peer": statistics.median(limit),
            "peer_name": f"tar | zstd -1 -T0 | sha256sum {_spread(limit)}",
            "ratio": to_limit,
            "goal": "approach 1.5×",
            "met": to_limit <= 1.5,
        },
        {
            "name": "overlay: entries scanned a second",
            "ours": rate,
            "spread": _spread([entries / t for t in scans]),
            "peer": None,
            "peer_name": None,
            "unit": "/s",
            "ratio": None,
            "goal": "≥ 100,000 /s",
            "met": rate >= 100_000,
        },
    ]


def _cut(area: Path, files: int) -> dict[str, object]:
    """The part of a live save that is frozen: a second of a writer's work, beside a look at all files."""
    upper = area / f"live-{files}"
    places = [upper / f"p{number // 100}" / f"d{number}" for number in range(files // 40)]
    for place in places:
        place.mkdir(parents=True)
        for number in range(40):
            (place / f"file_{number}").write_bytes(b"x" * 100)
    store = LayoutStore(area / f"live-store-{files}")
    ours, peer = [], []
    for _ in range(3):
        with Watch() as watch:
            first = OverlaySource(upper, (), watch=watch)
            for _entry in first.entries():
                pass
            for number in range(100):
                place = places[number * len(places) // 100]
                (place / "new").write_bytes(b"y" * 5000)
                with (place / "file_7").open("r+b") as file:
                    file.write(b"z")
            since = first.index()

            def cut(watch: Watch = watch, since: Index = since) -> None:
                only = watch.touched()
                assert only is not None
                write_layer(OverlaySource(upper, (), since=since, only=only), store)

            ours.append(_timed(cut))

        def everything(since: Index = since) -> None:
            write_layer(OverlaySource(upper, (), since=since), store)

        peer.append(_timed(everything))
    ratio = statistics.median(ours) / statistics.median(peer)
    shutil.rmtree(upper)
    return {
        "name": f"overlay: the cut among {files:,} files",
        "ours": statistics.median(ours),
        "spread": _spread(ours),
        "peer": statistics.median(peer),
        "peer_name": f"ours, looking at all {_spread(peer)}",
        "unit": "s",
        "ratio": ratio,
        "goal": "≤ 0.5 s",
        "met": statistics.median(ours) <= 0.5,
    }


def measure() -> list[dict[str, object]]:
    """All figures of this file, as `python -m tests.benchmarks` prints them."""
    with _area() as area:
        figures = [_changed(area), _restored(area), *_unchanged(area)]
    with _area() as area:
        return [*figures, *_overlay(area), _cut(area, SCANNED), _cut(area, 500_000)]
