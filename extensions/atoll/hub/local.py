"""The local spawner: a server is a process group of this machine, and survives the hub.

All servers run as the platform's own system account: the platform keeps users apart, the operating
system does not.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import httpx
from jupyterhub.spawner import Spawner
from traitlets import Float, Unicode

from atoll.hub.refusal import StartRefused
from atoll.hub.saving import PREPARED_PERCENT, SavingMixin
from atoll.kit.homes import make_home
from atoll.kit.logfiles import last_lines, open_log, rotate
from atoll.kit.names import server_segment
from atoll.kit.processes import ProcessId

_LOOK_S: Final = 0.05  # how often an ending process is looked at
_KILLED_S: Final = 5.0  # for the kernel to end a killed process


class ProcessSpawner(Spawner):  # type: ignore[misc]  # JupyterHub has no types
    """Carries servers out as processes. What to run them in is in `preparation`."""

    homes = Unicode(config=True, help="The folder with a home directory for each user.")
    logs = Unicode(config=True, help="The folder for the servers' logs: USER/SERVER.log.")
    public_service_url = Unicode(config=True, help="The service, as kernels reach it.")
    ready_timeout_s = Float(60.0, config=True, help="From the process to its first answer.")
    stop_grace_s = Float(5.0, config=True, help="To end by itself, before it is killed.")

    _child: subprocess.Popen[bytes] | None = None  # where this hub started it
    _process: ProcessId | None = None

    @property
    def home(self) -> Path:
        """The user's home directory. User names are plain directory names."""
        return Path(self.homes, self.user.name)

    @property
    def log_path(self) -> Path:
        """The server's log."""
        return Path(self.logs, self.user.name, f"{server_segment(self.name)}.log")

    def get_state(self) -> dict[str, Any]:
        """What a restarted hub needs to know the server by."""
        state: dict[str, Any] = super().get_state()
        if self._process is not None:
            state["process"] = self._process.model_dump()
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Take what a hub before this one kept."""
        super().load_state(state)
        if "process" in state:
            self._process = ProcessId.model_validate(state["process"])

    def clear_state(self) -> None:
        """Forget the process."""
        super().clear_state()
        self._process = self._child = None

    def get_env(self) -> dict[str, str]:
        """The server's environment variables."""
        env: dict[str, str] = super().get_env()
        shell = shutil.which("bash") or "/bin/sh"
        env.update(HOME=str(self.home), USER=self.user.name, LOGNAME=self.user.name, SHELL=shell)
        env.update(self.profile_variables)
        env.update(self.preparation.variables)
        env["ATOLL_URL"] = self.public_service_url
        return env

    def command(self, descriptor: int) -> list[str]:
        """What is run; it holds no secret."""
        # not a login shell: /etc/profile would put the system's own pip first
        terminals = json.dumps({"shell_command": [shutil.which("bash") or "/bin/sh"]})
        options = [f"--ServerApp.terminado_settings={terminals}"]
        # JupyterLab would install into the platform's own Python and switch off there, for everybody
        options += ["--LabApp.extension_manager=readonly", "--PluginManager.level=user"]
        if os.geteuid() == 0:
            options.append("--allow-root")
        program = [sys.executable, "-P", "-m", "atoll.hub.singleuser", str(descriptor)]
        return [*program, *options, *self.get_args()]

    async def start(self) -> tuple[str, int]:
        """Start the server and wait until it answers: its address."""
        self.tell(PREPARED_PERCENT + 5, "starting JupyterLab")
        await asyncio.to_thread(make_home, self.home)
        # The port is ours from here on, and a connection waits until the server takes it.
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.ip, self.port = listening.getsockname()
            self._child = self._run(listening.fileno())
        self._process = ProcessId.of(self._child.pid)
        await self._answers()
        self.tell(95, "your server is ready")
        return self.ip, self.port

    async def poll(self) -> int | None:
        """None while the server runs, else its exit status (0 where it is not known)."""
        if self._child is not None:
            status = self._child.poll()
        else:
            status = None if self._process is not None and self._process.alive() else 0
        if status is None:
            await asyncio.to_thread(rotate, self.log_path)
        return status

    async def stop(self, now: bool = False) -> None:
        """End the server: ask, then kill its group. What left the group is the service's to end."""
        process = self._process
        if process is None or await self.poll() is not None:
            return
        if not now:
            process.send(signal.SIGTERM)
            if await self._ends(self.stop_grace_s):
                return
            self.log.warning("%s did not end in time and is killed", self._log_name)
        if process.alive():  # its group carries its id, and nobody else's can while it lives
            os.killpg(process.pid, signal.SIGKILL)
        if not await self._ends(_KILLED_S):
            self.log.error("%s (process %d) cannot be ended", self._log_name, process.pid)

    def _run(self, descriptor: int) -> subprocess.Popen[bytes]:
        log = open_log(self.log_path)
        try:
            return subprocess.Popen(
                self.command(descriptor),
                cwd=self.home,
                env=self.get_env(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(descriptor,),
                start_new_session=True,  # its own group, and no signals of our terminal
            )
        finally:
            os.close(log)

    async def _answers(self) -> None:
        """Return once the server answers; raises StartRefused where it ends or takes too long."""
        url = f"http://127.0.0.1:{self.port}{self.server.base_url}api"
        timeout = httpx.Timeout(self.ready_timeout_s)
        try:
            async with httpx.AsyncClient(timeout=timeout, trust_env=False) as http:
                await http.get(url)
        except httpx.TimeoutException as error:
            raise self._failed_start(
                f"Your server did not answer within {self.ready_timeout_s:.0f} s.", "timeout"
            ) from error
        except httpx.HTTPError as error:  # it ended: the socket is closed with it
            await self._ends(_KILLED_S)
            status = await self.poll()
            raise self._failed_start(
                f"Your server ended while it was starting (exit status {status}).", "ended"
            ) from error

    def _failed_start(self, what: str, reason: str) -> StartRefused:
        end = "\n".join(last_lines(self.log_path, 5))
        return StartRefused(
            f"{what} Your saved environments are safe: start again, or choose an earlier one or a"
            f" fresh start. The end of its log:\n{end}",
            reason=reason,
            status=500,
        )

    async def _ends(self, within_s: float) -> bool:
        """Whether the server ends within this time."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + within_s
        while await self.poll() is None:
            if clock() > deadline:
                return False
            await asyncio.sleep(_LOOK_S)
        return True


class LocalSpawner(SavingMixin, ProcessSpawner):
    """The local spawner: prepared by the service, carried out as a process."""
