"""What the tests hold in their hands: the running service, and servers as the hub would start them."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from atoll.checkpoints import client
from atoll.checkpoints.models import (
    Checkpoint,
    CheckpointRequest,
    Preparation,
    Server,
    ServerStatus,
    StartRequest,
)
from atoll.kit.http import Call, Connection
from atoll.kit.names import server_segment

T = TypeVar("T")


def eventually(look: Callable[[], T], until: Callable[[T], bool], within_s: float = 60.0) -> T:
    """What `look` gives as soon as it is as wanted."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if until(found):
            return found
        assert time.monotonic() < deadline, f"still {found!r}"
        time.sleep(0.02)


@dataclass
class Running:
    """A server that was started: its preparation and its process."""

    preparation: Preparation
    process: subprocess.Popen[bytes]

    @property
    def env(self) -> Path:
        return Path(self.preparation.path)

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as in this server's terminal."""
        variables = {**self.preparation.variables}
        program = next(
            (
                str(found)
                for folder in variables["PATH"].split(os.pathsep)
                if (found := Path(folder, argv[0])).exists()
            ),
            argv[0],
        )
        done = subprocess.run(
            [program, *argv[1:]],
            env={"HOME": str(self.env.parents[3] / "homes"), **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def install(self, wheel: Path) -> None:
        """Install it with uv, which is quicker than pip by half a second of a core."""
        self.run("uv", "pip", "install", "--quiet", "--offline", str(wheel))

    def end(self) -> None:
        """End the process, as the hub does."""
        self.process.kill()
        self.process.wait()


@dataclass
class Atoll:
    """The service, spoken to as hub and as users."""

    url: str
    connections: dict[str, Connection] = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, call: Call[T], who: str = "ada") -> T:
        """Send a call with somebody's token (the stub's tokens are names)."""
        with self.lock:
            if who not in self.connections:
                self.connections[who] = Connection(self.url, who)
        return self.connections[who].send(call)

    def prepare(
        self, user: str = "ada", name: str = "", environment: str = "last", within_s: float = 60.0
    ) -> Preparation:
        """As the hub: ask for a start and wait until it may begin."""
        self.send(client.start(user, name, StartRequest(environment=environment)), "hub")
        return eventually(
            lambda: self.send(client.preparation(user, name), "hub"),
            lambda found: found.ready,
            within_s,
        )

    def start(self, user: str = "ada", name: str = "", environment: str = "last") -> Running:
        """As the hub: start a server whose process does nothing."""
        found = self.prepare(user, name, environment)
        process = subprocess.Popen(["sleep", "1000"], env=found.variables)
        self.send(client.started(user, name, found.start_id), "hub")
        self.running.append(Running(found, process))
        return self.running[-1]

    def stop(self, running: Running, user: str = "ada", name: str = "") -> Server:
        """As the hub: end the server, then wait until it is saved."""
        running.end()
        self.send(client.ended(user, name), "hub")
        return self.saved(user, name)

    def saved(self, user: str = "ada", name: str = "", within_s: float = 60.0) -> Server:
        """Wait until the server is saved."""
        return eventually(
            lambda: self.send(client.server(user, name), user),
            lambda found: found.status == ServerStatus.SAVED,
            within_s,
        )

    def server(self, user: str = "ada", name: str = "") -> Server:
        """How the server stands."""
        return self.send(client.server(user, name), user)

    def save(self, note: str = "", name: str = "", user: str = "ada") -> Checkpoint:
        """Save now, and wait for it."""
        request = CheckpointRequest(server=server_segment(name), note=note)
        found = self.send(client.save(request), user)
        return self.final(found, user)

    def final(self, checkpoint: Checkpoint, user: str = "ada") -> Checkpoint:
        """Wait until the checkpoint is final."""
        return eventually(
            lambda: self.send(client.checkpoint(checkpoint.id), user),
            lambda found: found.status.final,
        )

    def checkpoints(self, user: str = "ada") -> list[Checkpoint]:
        """The user's checkpoints, newest first."""
        return self.send(client.checkpoints(), user).items

    def close(self) -> None:
        """End what was started here."""
        for running in self.running:
            running.end()
        for connection in self.connections.values():
            connection.close()


def wheel(folder: Path, name: str = "seashell", version: str = "1.0", size: int = 0) -> Path:
    """A wheel made by hand: a module that knows its version, and a console script of its name.

    `size` adds a data file of so many incompressible bytes.
    """
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": (
            f"import sys\n__version__ = {version!r}\n"
            "def main():\n    print(__version__, sys.prefix)\n"
        ).encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n".encode(),
    }
    if size:
        files[f"{name}/data.bin"] = os.urandom(size)
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD")).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, content in files.items():
            archive.writestr(inside, content)
    return path
