"""Papermill with Atoll's engine: a kernel that is up already, progress, and outputs within bounds."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import papermill
from jupyter_core.utils import run_sync
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import remove_error_markers
from papermill.iorw import papermill_io

from atoll.jobs.directory import write_whole
from atoll.jobs.logfile import LogFile

_SAVE_EVERY_S: Final = 1.0
_SAVE_SHARE: Final = 20  # saving a huge notebook takes at most a twentieth of the time
_STREAM_PIECE: Final = 1 << 16  # texts are joined up to this size: joining long ones is quadratic
_ERROR_MOST: Final = 1 << 16  # characters of an exception's name, its text, its traceback
_LINE_COST: Final = 12  # characters that a line takes in the file beyond its own
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
INPUT: Final = "atoll:notebook.ipynb"
OUTPUT: Final = "atoll:output.ipynb"


class EndedError(Exception):
    """The job was told to end; no further cell begins."""


class KernelStartError(Exception):
    """The kernel never answered."""


class KernelLostError(Exception):
    """The kernel died in a cell."""


class CellFailedError(Exception):
    """A cell raised; `number` counts code cells, None where it is the injected one."""

    def __init__(self, number: int | None, name: str, value: str) -> None:
        super().__init__(name)
        self.number = number
        self.name = name
        self.value = value


@dataclass
class Run:
    """What the engine needs to know of a job."""

    notebook: Path
    output: Path
    log: LogFile
    most_output: int
    start_within_s: float
    progress: Callable[[int, int], None]
    ending: Callable[[], bool]
    kernel: Any  # jupyter_client's manager of the kernel, which is started already
    manager: _Manager | None = None


class _Files:
    """Papermill's reading and writing: whole files only, so that what is read is never half."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def read(self, _: str) -> str:
        return self._run.notebook.read_text("utf-8")

    def listdir(self, _: str) -> list[str]:
        return []

    def write(self, text: str, _: str) -> None:
        write_whole(self._run.output, text.encode("utf-8", "replace"), sync=False)

    def pretty_path(self, path: str) -> str:
        return path


class _Manager(NotebookExecutionManager):  # type: ignore[misc]  # papermill has no types
    """Keeps the output notebook and the progress up to date."""

    def __init__(self, nb: NotebookNode, run: Run) -> None:
        super().__init__(nb, output_path=OUTPUT, progress_bar=False)
        self.run = run
        self.current: int | None = None  # index of the cell that was begun last
        self.failure: CellFailedError | None = None
        self._dirty = False
        self._saved = 0.0
        self._cost = 0.0
        self._cells = sum(1 for cell in nb.cells if _counts(cell))

    @property
    def number(self) -> int | None:
        """The current cell's number among the code cells, from 1; None for what papermill put in."""
        if self.current is None or not _counts(self.nb.cells[self.current]):
            return None
        return sum(1 for cell in self.nb.cells[: self.current + 1] if _counts(cell))

    def save(self, **_: object) -> None:
        self._dirty = True
        self.save_if_due()

    def autosave_cell(self) -> None:
        self._dirty = True

    def save_if_due(self, *, now: bool = False) -> None:
        """Write the output notebook if something changed and the last time is long enough ago."""
        began = time.monotonic()
        wait = max(_SAVE_EVERY_S, self._cost * _SAVE_SHARE)
        if not now and (not self._dirty or began - self._saved < wait):
            return
        super().save()
        self._dirty = False
        self._saved = time.monotonic()
        self._cost = self._saved - began

    def notebook_start(self, **_: object) -> None:
        super().notebook_start()
        self.run.progress(0, self._cells)

    def cell_start(self, cell: NotebookNode, cell_index: int, **_: object) -> None:
        if self.run.ending():
            raise EndedError
        self.current = cell_index
        if self.number is not None:
            self.run.progress(self.number, self._cells)
            self.run.log.note(f"[{time.strftime('%H:%M:%S')}] cell {self.number} of {self._cells}")
        super().cell_start(cell, cell_index)

    def cell_exception(self, cell: NotebookNode, cell_index: int, **_: object) -> None:
        name = value = ""
        errors = [one for one in cell.get("outputs", []) if one.output_type == "error"]
        if errors:
            name, value = errors[-1].ename, _ANSI.sub("", errors[-1].evalue)
            self.run.log.note(_ANSI.sub("", "\n".join(errors[-1].traceback)))
        self.failure = CellFailedError(self.number, name, value)
        super().cell_exception(cell, cell_index)

    def cell_complete(self, cell: NotebookNode, cell_index: int, **_: object) -> None:
        if cell_index == self.current:  # else it was told to end before this one began
            super().cell_complete(cell, cell_index)

    def broken_off(self) -> None:
        """The cell that was running will not come to an end."""
        if self.current is not None:
            state = self.nb.cells[self.current].metadata.papermill
            state["status"], state["exception"] = self.FAILED, True

    def notebook_complete(self, **_: object) -> None:
        super().notebook_complete()
        self.save_if_due(now=True)


class _Client(PapermillNotebookClient):  # type: ignore[misc]  # papermill has no types
    """Bounds what is kept of the outputs, and saves while a cell runs."""

    def __init__(self, manager: _Manager, run: Run) -> None:
        super().__init__(
            manager,
            km=run.kernel,
            timeout=None,
            startup_timeout=run.start_within_s,
            raise_on_iopub_timeout=False,
            stdout_file=run.log,
            stderr_file=run.log,
            coalesce_streams=True,
        )
        self.run = run
        self._kept = 0
        self._kept_in_cell = 0
        self._told = False

    async def async_execute_cell(self, *args: Any, **kwargs: Any) -> NotebookNode:
        """Run one cell; the output notebook is saved meanwhile, on the same loop."""
        self._kept += self._kept_in_cell
        self._kept_in_cell = 0
        self._told = False
        saver = asyncio.ensure_future(self._save_meanwhile())
        try:
            return await super().async_execute_cell(*args, **kwargs)
        finally:
            saver.cancel()

    execute_cell = run_sync(async_execute_cell)

    def clear_output(self, outs: list[NotebookNode], msg: Any, cell_index: int) -> None:
        super().clear_output(outs, msg, cell_index)
        self._kept_in_cell = 0

    def output(
        self, outs: list[NotebookNode], msg: Any, display_id: Any, cell_index: int
    ) -> NotebookNode | None:
        """Keep an output while there is room, and say so where there is none."""
        failed = msg["msg_type"] == "error"
        if failed:
            _shorten(msg["content"])
        size = _size(msg["content"])
        if self._kept + self._kept_in_cell + size > self.run.most_output:
            if not self._told:
                self._told = True
                outs.append(_note(self.run.most_output))
            if not failed:
                return _stream(msg)  # for the log alone
            if outs and outs[-1].output_type == "error":
                outs.pop()  # why it failed is always kept, and said last
        self._kept_in_cell += size
        hooked = self.output_hook_stack[msg["parent_header"].get("msg_id")]
        if not hooked and not self.clear_before_next_output and _join(outs, msg):
            return _stream(msg)
        kept: NotebookNode | None = super().output(outs, msg, display_id, cell_index)
        return kept

    async def _save_meanwhile(self) -> None:
        while True:
            await asyncio.sleep(_SAVE_EVERY_S)
            try:
                self.nb_man.save_if_due()
            except OSError as error:  # at the end it is tried again, and counts then
                self.run.log.note(f"The output could not be saved yet: {error}.")


class _AtollEngine(Engine):  # type: ignore[misc]  # papermill has no types
    @classmethod
    def execute_notebook(cls, nb: NotebookNode, _: str, *, run: Run, **__: object) -> NotebookNode:
        manager = run.manager = _Manager(nb, run)
        manager.notebook_start()
        try:
            _Client(manager, run).execute(cleanup_kc=True)
        except DeadKernelError as error:
            manager.broken_off()
            raise KernelLostError from error
        except RuntimeError as error:  # so says nbclient where the kernel does not answer
            if manager.current is None:
                raise KernelStartError(str(error)) from error
            raise
        finally:
            manager.notebook_complete()
        return nb


def execute(run: Run, parameters: dict[str, object], kernel: str, language: str) -> None:
    """Run the notebook to its end.

    Raises CellFailedError, KernelStartError, KernelLostError, EndedError; OSError for a full disk.
    """
    papermill_io.register("atoll:", _Files(run))
    papermill_engines.register("atoll", _AtollEngine)
    try:
        papermill.execute_notebook(
            INPUT,
            OUTPUT,
            parameters=parameters,
            engine_name="atoll",
            kernel_name=kernel,
            language=language,
            progress_bar=False,
            run=run,
        )
    except PapermillExecutionError as error:
        assert run.manager is not None  # noqa: S101  # the engine made it
        if run.manager.failure is not None:
            raise run.manager.failure from error
        # An exception in a cell tagged `raises-exception`: papermill marks it, the lab does not.
        remove_error_markers(run.manager.nb)
        run.manager.save_if_due(now=True)


def _counts(cell: NotebookNode) -> bool:
    tags = cell.metadata.get("tags", [])
    return cell.cell_type == "code" and "injected-parameters" not in tags


def _size(content: Any) -> int:
    """About how many characters an output takes in the notebook's file."""
    if isinstance(content, str):
        return len(content) + _LINE_COST * content.count("\n")
    if isinstance(content, dict):
        return sum(len(key) + _size(value) for key, value in content.items())
    return sum(_size(item) for item in content) if isinstance(content, list) else 8


def _shorten(error: Any) -> None:
    """Leave out the middle of what an exception says where it is too long to be read."""
    error["ename"], error["evalue"] = _shortened(error["ename"]), _shortened(error["evalue"])
    error["traceback"] = [_shortened("\n".join(error["traceback"]))]


def _shortened(text: str) -> str:
    if len(text) <= _ERROR_MOST:
        return text
    half = _ERROR_MOST // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters …]\n{text[-half:]}"


def _stream(msg: Any) -> NotebookNode | None:
    """What a message prints, as an output of its own."""
    if msg["msg_type"] != "stream":
        return None
    content = msg["content"]
    return NotebookNode(output_type="stream", name=content["name"], text=content["text"])


def _join(outs: list[NotebookNode], msg: Any) -> bool:
    """Append what it prints to the output before, where that is of the same stream and short."""
    if msg["msg_type"] != "stream" or not outs:
        return False
    last, content = outs[-1], msg["content"]
    if last.output_type != "stream" or last.name != content["name"]:
        return False
    if len(last.text) > _STREAM_PIECE:
        return False
    last.text += content["text"]
    return True


def _note(most: int) -> NotebookNode:
    text = f"[The outputs have reached {most >> 20} MiB; more is not kept. The log goes on.]\n"
    return NotebookNode(output_type="display_data", data={"text/plain": text}, metadata={})
