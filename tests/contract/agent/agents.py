"""Agents of a node as processes of their own, with what a DaemonSet's pod gives them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.contract.agent.node import Node, until
from tests.service.nodes.cluster import Cluster

HERE: Final = "node-1"
ROOT: Final = Path(__file__).parents[3]
_BEGINS_S: Final = 60.0
_ENDS_S: Final = 60.0  # of a busy machine


def heeds(pid: int, number: signal.Signals) -> bool:
    """Whether the process does something of its own with a signal: proc(5), SigCgt."""
    status = Path(f"/proc/{pid}/status").read_text()
    [caught] = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(int(caught, 16) >> (number - 1) & 1)


@dataclass
class Agents:
    """Those of one node, one after the other; `log` has what they said."""

    cluster: Cluster
    node: Node
    state: Path
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """One that is there meanwhile, and ends in order."""
        process = self._started("atoll.apps.agent")
        until(lambda: heeds(process.pid, signal.SIGTERM), "it is there", _BEGINS_S)
        yield
        process.terminate()
        assert process.wait(_ENDS_S) == 0, self.log.read_text()

    def killed(self, place: str, how: str, within_s: float = 60.0) -> None:
        """One that is killed at a place in the product: returns when it is dead."""
        process = self._started("tests.contract.agent.dying_agent", place, how)
        assert process.wait(within_s) == -9, self.log.read_text()

    def close(self) -> None:
        """Ends what a failed test left."""
        for process in self.processes:
            process.kill()
            process.wait()

    def _started(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        given = {
            "PYTHONPATH": f"{ROOT}:{ROOT / 'extensions'}",
            "ATOLL_AGENT_SERVICE": self.cluster.url.removesuffix("api/v1/"),
            "ATOLL_AGENT_NODE": HERE,
            "ATOLL_AGENT_TOKEN_FILE": str(self.cluster.home.secrets / "agent-token"),
            "ATOLL_AGENT_STATE": str(self.state),
        }
        command = [sys.executable, "-m", module, *arguments, "run", "--runtime", "containerd"]
        command += ["--address", str(self.node.socket), "--namespace", self.node.namespace]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **given, **self.environment},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process
