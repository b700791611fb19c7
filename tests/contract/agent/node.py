"""A containerd of the tests' own: its root, state, socket and cgroups are nobody else's."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from atoll.agent.runtimes.containerd import Containerd
from atoll.oci.directory import DirectorySource
from atoll.oci.image import Compression
from atoll.oci.layer import write_layer
from atoll.oci.layout import LayoutStore
from atoll.oci.publish import append_layer, create_base

from tests.unit.oci.trees import NOW

BASE = "test:base"
APPLETS = (
    *("sh", "ls", "cat", "echo", "sleep", "mkdir", "rm", "rmdir", "ln", "mv", "cp", "chmod"),
    *("touch", "kill", "date", "mkfifo", "true"),
)
_CONFIG = """
version = 2
root = "{top}/root"
state = "{top}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "{top}/c.sock"
"""


def until(true: Callable[[], bool], what: str, within_s: float = 30.0) -> None:
    """Waits for a condition, looking again every 10 ms."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
        time.sleep(0.01)


def make_rootfs(root: Path) -> None:
    """A root of static busybox, with a few things for containers to change."""
    busybox = shutil.which("busybox")
    assert busybox is not None
    for name in ("bin", "etc", "tmp", "proc", "dev", "sys", "run", "srv/old", "var/lib", "home"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc" / "motd").write_text("welcome\n")
    (root / "srv" / "old" / "one").write_text("1")
    (root / "srv" / "old" / "two").write_text("2")
    (root / "var" / "run").symlink_to("/run")
    for name in ("lib", "lib64"):  # for programs of this machine, where its /usr is mounted
        (root / name).symlink_to(f"usr/{name}")
    (root / "tmp").chmod(0o1777)


_HALF: Final = ("--cpu-quota", "50000", "--cpu-period", "100000")
_ENDED = "-- ended with "


class Node:
    """containerd, and what one does with it by hand."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.socket = top / "c.sock"
        self.cgroup = f"/atoll-test-{top.name}"
        self.namespace = (
            top.name
        )  # runc keeps all containerds' containers in one place, by namespace
        self.log = top / "log"
        (top / "config.toml").write_text(_CONFIG.format(top=top))
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                ["containerd", "-c", str(top / "config.toml")],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until(self._answers, f"containerd starts (see {self.log})", 30)
        self._number = 0

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        command = ["ctr", "-a", str(self.socket), "version"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def ctr(self, *arguments: str | Path, check: bool = True) -> str:
        """What `ctr` says."""
        command = ["ctr", "-a", str(self.socket), "-n", self.namespace, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=300)
        assert not check or done.returncode == 0, (command, done.stderr.decode())
        return done.stdout.decode()

    def load(self, store: LayoutStore, base_name: str = "test") -> None:
        """Makes every image NAME of a layout one of containerd's, as `base_name:NAME`."""
        archive = self.top / "import.tar"
        with tarfile.open(archive, "w") as tar:
            for name in ("oci-layout", "index.json", "blobs"):
                tar.add(store.path / name, name)
        self.ctr("images", "import", "--base-name", base_name, archive)
        archive.unlink()

    def load_base(self) -> None:
        """Makes the image `BASE`, once, and gives it to containerd."""
        store = LayoutStore(self.top / "images")
        if not (self.top / "rootfs").exists():
            make_rootfs(self.top / "rootfs")
            empty = create_base(store, "empty", labels={"dev.atoll.test": "base"}, created=NOW)
            source = DirectorySource(self.top / "rootfs", owner=(0, 0))
            layer = write_layer(source, store, compression=Compression.GZIP)
            append_layer(store, empty.digest, layer, name="base", created=NOW)
        self.load(store)

    def run(
        self,
        script: str,
        *,
        image: str = BASE,
        options: tuple[str | Path, ...] = (),
        wait: bool = False,
    ) -> str:
        """Starts `sh -c script` in a new container; its id. With `wait`, until it has ended.

        It has half a processor, as a server has its limit: the tests beside it go on.
        """
        self._number += 1
        identity = f"box{self._number}"
        group = ("--cgroup", f"{self.cgroup}/{identity}", *_HALF)
        self.ctr("run", "-d", *group, *options, image, identity, "/bin/sh", "-c", script)
        if wait:
            self.ended(identity)
        return identity

    def ended(self, identity: str) -> None:
        """Waits until the container's process has ended; it stays, at rest."""
        until(lambda: self.state(identity) == "STOPPED", f"{identity} ends", 20)

    def state(self, identity: str) -> str:
        """RUNNING, PAUSED, STOPPED …; empty where there is no task."""
        lines = (line.split() for line in self.ctr("tasks", "ls").splitlines())
        return next((line[2] for line in lines if line[0] == identity), "")

    def output(self, image: str, script: str) -> str:
        """What `sh -c script` prints in a container of its own, which is then removed.

        `ctr run` itself may lose what a program printed that ended at once (it cancels its pipes,
        whether or not it has opened them); so the shim writes it into a file, to its last line.
        """
        log = self.top / f"output{self._number}"
        options = ("--log-uri", f"file://{log}")
        identity = self.run(f"({script}); echo {_ENDED}$?", image=image, options=options)
        until(lambda: log.exists() and _ENDED in log.read_text(), f"{identity} has printed all")
        printed, _, status = log.read_text().partition(_ENDED)
        self.ended(identity)
        self.remove(identity)
        log.unlink()
        assert status.strip() == "0", printed
        return printed

    def remove(self, identity: str) -> None:
        """Removes the container with its task and its layer."""
        self.ctr("tasks", "kill", "-s", "KILL", identity, check=False)
        until(lambda: self.state(identity) in ("", "STOPPED"), f"{identity} is killed")
        self.ctr("tasks", "rm", identity, check=False)
        self.ctr("containers", "rm", identity)

    def runtime(self) -> Containerd:
        """The agent's view of it."""
        return Containerd(self.socket, self.namespace)

    def close(self) -> None:
        """Ends all containers, the shims, containerd; takes away its mounts and cgroups."""
        for line in self.ctr("tasks", "ls", "-q", check=False).split():
            self.ctr("tasks", "resume", line, check=False)
            self.ctr("tasks", "kill", "-s", "KILL", line, check=False)
            until(lambda line=line: self.state(line) in ("", "STOPPED"), f"{line} is killed")
            self.ctr("tasks", "rm", line, check=False)
        for pid in self._shims():
            os.kill(pid, signal.SIGKILL)
        self._process.terminate()
        self._process.wait(20)
        unmount_below(self.top)
        remove_cgroups(self.cgroup)
        with suppress(FileNotFoundError):
            Path("/run/containerd/runc", self.namespace).rmdir()

    def _shims(self) -> Iterator[int]:
        """By their command line, which names our socket."""
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                arguments = process.read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"shim" in arguments[0] and os.fsencode(self.socket) in arguments:
                yield int(process.parent.name)


def unmount_below(top: Path) -> None:
    """Takes away what is mounted below a directory of ours, the innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [point for line in lines if (point := line.split()[4]).startswith(f"{top}/")]
    for point in sorted(points, reverse=True):
        subprocess.run(["umount", "-l", point], check=True)


def hierarchies() -> dict[int, Path]:
    """Where v1's freezer and v2 are mounted on this machine: one of them, or both."""
    found: dict[int, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup" and "freezer" in options.split(","):
            found[1] = Path(before.split()[4])
        elif kind == "cgroup2":
            found[2] = Path(before.split()[4])
    return found


def cgroups_named(path: str) -> list[Path]:
    """The cgroup of this path in every hierarchy that has it."""
    tops = [
        Path(line.split()[4])
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.partition(" - ")[2].split(" ", 1)[0] in ("cgroup", "cgroup2")
    ]
    return [top / path.strip("/") for top in tops if (top / path.strip("/")).is_dir()]


def remove_cgroups(path: str) -> None:
    """Removes a group of ours, and those in it, everywhere."""
    for group in cgroups_named(path):
        for inner in sorted((found for found in group.rglob("*") if found.is_dir()), reverse=True):
            inner.rmdir()
        group.rmdir()


@contextmanager
def running_node(*, bare: bool = False) -> Iterator[Node]:
    """A containerd with the image `BASE` (`bare`: without any image), for the context."""
    top = Path("/tmp", f"atoll-c-{secrets.token_hex(4)}")  # also a namespace: no underscores
    top.mkdir(mode=0o700)  # a socket's path is short
    try:
        node = Node(top)
        try:
            if not bare:
                node.load_base()
            yield node
        finally:
            node.close()
    finally:
        shutil.rmtree(top)
