"""docker and podman of the tests' own, seen alike: each in directories that are nobody else's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from atoll.agent.runtimes.container import Runtime
from atoll.agent.runtimes.docker import Docker
from atoll.agent.runtimes.storage import Storage

from tests.contract.agent.node import make_rootfs, remove_cgroups, unmount_below, until

BASE = "example.invalid/test/base:one"
"""No such registry answers: the image is on this machine alone."""


class Engine(Protocol):
    """What the tests do with docker and podman."""

    top: Path

    def call(self, *arguments: str) -> str:
        """What the engine's command says."""

    def runtime(self) -> Runtime:
        """The agent's view of it."""


class DockerEngine:
    """A dockerd with its own containerd, without networks."""

    def __init__(self, top: Path, driver: str = "overlay2") -> None:
        self.top = top
        self.socket = top / "d.sock"
        log = top / "log"
        command = [
            *("dockerd", "--data-root", top / "data", "--exec-root", top / "exec"),
            *("-H", f"unix://{self.socket}", "--pidfile", top / "pid", "--storage-driver", driver),
            *("--iptables=false", "--ip6tables=false", "--bridge=none"),
        ]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                list(map(str, command)), stdout=output, stderr=output, start_new_session=True
            )
        until(self._answers, f"dockerd starts: {log}", 30)

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.top / "log").read_text()
        return (
            subprocess.run(self._command("version"), capture_output=True, check=False).returncode
            == 0
        )

    def _command(self, *arguments: str) -> list[str]:
        return ["docker", "-H", f"unix://{self.socket}", *arguments]

    def call(self, *arguments: str) -> str:
        done = subprocess.run(self._command(*arguments), capture_output=True, check=False)
        assert done.returncode == 0, (arguments, done.stderr.decode())
        return done.stdout.decode().strip()

    def runtime(self) -> Docker:
        return Docker(self.socket)

    def close(self) -> None:
        for identity in self.call("ps", "-aq").split():
            self.call("rm", "-f", identity)
        self.process.terminate()
        self.process.wait(20)


class PodmanEngine:
    """podman with a store of its own; it has no daemon."""

    def __init__(self, top: Path, driver: str = "overlay") -> None:
        self.top = top
        (top / "storage.conf").write_text(
            f'[storage]\ndriver = "{driver}"\ngraphroot = "{top}/root"\nrunroot = "{top}/run"\n'
        )
        limits = '["nofile=1024:1024", "nproc=1024:1024"]'  # root here may not raise them
        (top / "containers.conf").write_text(
            '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\nruntime = "runc"\n'
            f'tmp_dir = "{top}/tmp"\n[containers]\ndefault_ulimits = {limits}\n'
        )
        self._environment = {
            **os.environ,
            "CONTAINERS_STORAGE_CONF": str(top / "storage.conf"),
            "CONTAINERS_CONF": str(top / "containers.conf"),
        }

    def call(self, *arguments: str) -> str:
        done = subprocess.run(
            ["podman", *arguments], env=self._environment, capture_output=True, check=False
        )
        assert done.returncode == 0, (arguments, done.stderr.decode())
        return done.stdout.decode().strip()

    def runtime(self) -> Storage:
        return Storage(self.top / "root")

    def close(self) -> None:
        self.call("rm", "--all", "--force", "--time", "0")


@contextmanager
def running_engine(kind: str, driver: str | None = None) -> Iterator[DockerEngine | PodmanEngine]:
    """`docker` or `podman`, with the image `BASE`."""
    top = Path(tempfile.mkdtemp(prefix=f"atoll-{kind[0]}-", dir="/tmp"))
    given = {} if driver is None else {"driver": driver}
    try:
        engine = DockerEngine(top, **given) if kind == "docker" else PodmanEngine(top, **given)
        try:
            make_rootfs(top / "rootfs")
            archive = top / "rootfs.tar"
            subprocess.run(["tar", "-C", str(top / "rootfs"), "-cf", str(archive), "."], check=True)
            engine.call("import", "--change", "ENV ORIGIN=base", str(archive), BASE)
            yield engine
        finally:
            engine.close()
            unmount_below(top)
            remove_cgroups(f"/{top.name}")
    finally:
        shutil.rmtree(top)


def state(engine: Engine, identity: str) -> str:
    """`running`, `exited`, `paused` …"""
    found = json.loads(engine.call("inspect", "--type", "container", identity))
    return str(found[0]["State"]["Status"])


def start(engine: Engine, script: str, *options: str, wait: bool = False) -> str:
    """Starts `sh -c script` in a new container; its id. With `wait`, until it has ended."""
    alone = ("--network", "host", "--cgroup-parent", f"/{engine.top.name}")
    identity = engine.call("run", "-d", *alone, *options, BASE, "/bin/sh", "-c", script)
    if wait:
        until(lambda: state(engine, identity) == "exited", "the container ends", 20)
    return identity
