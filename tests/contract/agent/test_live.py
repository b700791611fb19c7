"""A container that runs, or is taken away, while it is saved: one moment of it, or nothing."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from atoll import oci
from atoll.agent import copying
from atoll.agent.commit import one_at_a_time
from atoll.agent.copying import Wishes
from atoll.agent.errors import (
    BusyError,
    ContainerRemovedError,
    ContainerRunningError,
    FreezeError,
)
from atoll.agent.runtimes.containerd import Containerd

from tests.contract.agent.node import Node, until
from tests.contract.agent.saves import FOREVER, paths, save


def test_a_running_container_is_saved_only_where_that_was_asked_for(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    identity = node.run(FOREVER)
    with pytest.raises(ContainerRunningError, match="--live"):
        save(runtime, identity, store, tmp_path / "state")
    assert store.images() == ()
    node.remove(identity)


def paused(node: Node, runtime: Containerd) -> str:
    """A container that has written /srv/x and stands still."""
    identity = node.run(f"echo x > /srv/x; {FOREVER}")
    until((runtime.find(identity).upper / "srv" / "x").exists, "it writes")
    node.ctr("tasks", "pause", identity)
    return identity


def test_a_paused_container_is_saved_and_stays_paused(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    identity = paused(node, runtime)
    saved = save(runtime, identity, store, tmp_path / "state")
    assert "srv/x" in paths(store, saved)
    assert node.state(identity) == "PAUSED"
    node.ctr("tasks", "resume", identity)
    node.remove(identity)


def test_a_paused_container_that_goes_on_meanwhile_is_not_saved_as_one_at_rest(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    identity = paused(node, runtime)

    def goes_on(_: int) -> None:
        if node.state(identity) == "PAUSED":
            node.ctr("tasks", "resume", identity)

    with pytest.raises(ContainerRunningError, match="while it was being saved"):
        save(runtime, identity, store, tmp_path / "state", wishes=Wishes(progress=goes_on))
    assert store.images() == ()
    node.remove(identity)


def test_a_cut_that_takes_too_long_is_broken_off(
    node: Node,
    runtime: Containerd,
    store: oci.LayoutStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copying, "LIMIT_S", 0.0)
    identity = node.run("n=0; while :; do n=$((n+1)); echo $n > /srv/$((n % 1000)); done")
    until((runtime.find(identity).upper / "srv" / "900").exists, "it writes")
    with pytest.raises(FreezeError, match="before all was read"):
        save(runtime, identity, store, tmp_path / "state", live=True)
    assert store.images() == ()
    assert node.state(identity) == "RUNNING"
    node.remove(identity)


def test_a_live_save_is_one_moment_of_a_container_that_writes(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    script = (
        "n=0; mkdir /srv/w; while :; do n=$((n+1)); echo $n > /srv/w/$n;"
        " rm -f /srv/w/$((n-40)); echo $n > /srv/last; done"
    )
    identity = node.run(script)
    upper = runtime.find(identity).upper
    until((upper / "srv" / "w" / "50").exists, "it writes")
    saved = save(runtime, identity, store, tmp_path / "state", live=True)
    last = int((upper / "srv" / "last").read_text() or 0)
    until(lambda: int((upper / "srv" / "last").read_text() or 0) > last, "it goes on")
    root = tmp_path / "root"
    oci.unpack(store, saved.image.digest, root)
    numbers = sorted(int(path.name) for path in (root / "srv" / "w").iterdir())
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert all((root / "srv" / "w" / str(n)).read_text() == f"{n}\n" for n in numbers[:-1])
    assert 39 <= len(numbers) <= 41
    assert saved.copied.torn == ()
    assert saved.copied.frozen_s > 0
    node.remove(identity)


MAPPER = """
import mmap, os, time
with open("/srv/map", "w+b") as file:
    file.write(bytes(8192))
    file.flush()
    mapped = mmap.mmap(file.fileno(), 0)
    mapped[:6] = b"before"
    open("/signs/ready", "w").close()
    while not os.path.exists("/signs/go"):
        time.sleep(0.01)
    mapped[:6] = b"after!"
    open("/signs/done", "w").close()
    time.sleep(1000)
"""


def test_a_live_save_has_what_was_written_through_memory_after_it_was_read(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    signs = tmp_path / "signs"
    signs.mkdir()
    (signs / "mapper.py").write_text(MAPPER)
    mounts = [(Path("/usr"), "ro"), (Path(sys.base_prefix), "ro")]
    options = [
        f"type=bind,src={path},dst={path},options=rbind:{how}" for path, how in dict(mounts).items()
    ]
    options.append(f"type=bind,src={signs},dst=/signs,options=rbind:rw")
    python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    identity = node.run(
        f"{python} -I -S /signs/mapper.py",
        options=tuple(part for option in options for part in ("--mount", option)),
    )
    until((signs / "ready").exists, "the file is mapped")

    def write(done: int) -> None:
        if done >= 8192 and not (signs / "done").exists():
            (signs / "go").touch()
            until((signs / "done").exists, "it writes")

    saved = save(
        runtime, identity, store, tmp_path / "state", live=True, wishes=Wishes(progress=write)
    )
    oci.unpack(store, saved.image.digest, tmp_path / "root")
    assert (tmp_path / "root/srv/map").read_bytes()[:6] == b"after!"
    node.remove(identity)


def test_a_container_removed_while_it_is_saved_leaves_nothing(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    identity = node.run("for n in 1 2 3 4 5 6 7 8 9; do echo $n > /srv/$n; done", wait=True)
    removed = threading.Event()

    def remove(done: int) -> None:
        if done and not removed.is_set():
            removed.set()
            node.remove(identity)

    with pytest.raises(ContainerRemovedError) as caught:
        save(runtime, identity, store, tmp_path / "state", wishes=Wishes(progress=remove))
    assert removed.is_set()
    assert caught.value.code == "container_removed"
    assert store.images() == ()


def test_one_save_of_a_container_at_a_time(
    node: Node, runtime: Containerd, store: oci.LayoutStore, tmp_path: Path
) -> None:
    identity = node.run("echo x > /srv/x", wait=True)
    with one_at_a_time(runtime.find(identity), tmp_path / "state"):
        with pytest.raises(BusyError) as caught:
            save(runtime, identity, store, tmp_path / "state")
        assert caught.value.code == "save_running"
    save(runtime, identity, store, tmp_path / "state")
    node.remove(identity)
