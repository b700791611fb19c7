"""Processes that begin with their imports done: forked from one that waits with everything imported.

A service takes two seconds of processor time to import, and tests that kill it start hundreds. These
are processes as any others, with a memory of their own, and die of `kill -9` as any others do.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
from collections.abc import Mapping

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "tests.service.checkpoints.service_under_test",
        "tests.service.jobs.service_under_test",
        "tests.service.nodes.service_process",
    ]
)


class Forked:
    """`python -m MODULE ARGUMENTS…`, as far as `main(*ARGUMENTS)` of the module is all it runs."""

    def __init__(self, module: str, *arguments: str, env: Mapping[str, str]) -> None:
        self._process = _CONTEXT.Process(
            target=_run, args=(module, arguments, dict(env)), daemon=True
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """As `subprocess.Popen` has it: negative for a signal, None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The return code, if it has ended."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; its return code."""
        self._process.join(timeout)
        code = self._process.exitcode
        assert code is not None, f"process {self.pid} goes on after {timeout} s"
        return code

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()


def _run(module: str, arguments: tuple[str, ...], environ: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)
    importlib.import_module(module).main(*arguments)
