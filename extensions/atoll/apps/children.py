"""One child of the supervisor: started, known again after the supervisor was killed, ended."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from atoll.kit.logfiles import open_log
from atoll.kit.processes import ProcessId
from atoll.kit.settings import PREFIX

_LOOK_S: Final = 0.1  # a look costs microseconds
_KILLED_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Program:
    """What a child runs. `told` is what it was configured with: a child told otherwise is another."""

    name: str
    argv: tuple[str, ...]
    variables: Mapping[str, str]
    folder: Path
    told: str = ""
    grace_s: float = 10.0

    @property
    def fingerprint(self) -> str:
        """The same for the same program with the same configuration, whatever the shell's own."""
        ours = sorted((k, v) for k, v in self.variables.items() if k.startswith(PREFIX))
        parts = [list(self.argv), ours, self.told]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class _Record(BaseModel):
    process: ProcessId
    fingerprint: str


@dataclass
class Child:
    """A program that runs, or should."""

    program: Program
    run: Path  # where it is written down
    log: Path
    restarts: int = 0
    _own: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _process: ProcessId | None = None

    @property
    def process(self) -> ProcessId | None:
        """The process, None where none was started."""
        return self._process

    def recorded(self) -> ProcessId | None:
        """The process that was written down last and still runs."""
        try:
            record = _Record.model_validate_json(self._record.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return record.process if record.process.alive() else None

    async def take_over(self) -> bool:
        """Take over what a killed supervisor left; end it where it was told something else."""
        left = self.recorded()
        if left is None:
            return False
        self._process = left
        record = _Record.model_validate_json(self._record.read_bytes())
        if record.fingerprint == self.program.fingerprint:
            return True
        await self.end()
        return False

    def start(self) -> None:
        """Start it, and write down which process it is."""
        log = open_log(self.log)
        try:
            self._own = subprocess.Popen(
                self.program.argv,
                cwd=self.program.folder,
                env=dict(self.program.variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the supervisor, which ends it in order
            )
        finally:
            os.close(log)
        self._process = ProcessId.of(self._own.pid)
        if self._process is not None:
            record = _Record(process=self._process, fingerprint=self.program.fingerprint)
            draft = self._record.with_suffix(".draft")
            draft.write_text(record.model_dump_json(), "utf-8")
            draft.replace(self._record)

    def alive(self) -> bool:
        """Whether it runs."""
        runs = self._process is not None and self._process.alive()
        # afterwards: what has just died is taken from the kernel, and leaves no zombie
        ended = self._own is not None and self._own.poll() is not None
        return runs and not ended

    async def end(self, say: Callable[[str], None] | None = None) -> None:
        """Ask it to end, kill its group where it does not, and forget it."""
        if self._process is not None and self.alive():
            if say is not None:
                say(f"ending the {self.program.name}")
            self._process.send(signal.SIGTERM)
            if not await self.gone(self.program.grace_s) and self._process.alive():
                os.killpg(self._process.pid, signal.SIGKILL)  # a group of its own: see start
                await self.gone(_KILLED_S)
        self._record.unlink(missing_ok=True)

    @property
    def _record(self) -> Path:
        return self.run / f"{self.program.name}.json"

    async def gone(self, within_s: float = math.inf) -> bool:
        """Wait until it has ended; False where it has not within this time."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + within_s
        while self.alive():
            if clock() > deadline:
                return False
            await asyncio.sleep(_LOOK_S)
        return True
