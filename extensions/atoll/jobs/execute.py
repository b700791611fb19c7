"""The job's process: `python -m atoll.jobs.execute DIRECTORY` runs the notebook that lies there.

It belongs to nobody but the job: the service may end and come back meanwhile. What it is at, and how
it ended, it writes into its directory. The kernel is started first, the slow imports happen while it
comes up.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

import psutil

from atoll.jobs.directory import JobDirectory, Order
from atoll.jobs.logfile import LogFile

# No history file, and no advice about the transport in the job's log: errors alone are for its reader.
_KERNEL_OPTIONS: Final = ["--HistoryManager.hist_file=:memory:", "--IPKernelApp.log_level=ERROR"]
# 1.5 s of import time for checks of formats that no notebook has
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

_VALUE_MOST: Final = 2000  # characters of an exception's text
_DRAIN_S: Final = 0.5  # for the last lines that the job's processes print

Result = dict[str, object]


class JobProcess:
    """One run, and what may end it: its notebook, a request to stop, its time limit."""

    def __init__(self, place: JobDirectory, order: Order, log: LogFile) -> None:
        self._place = place
        self._order = order
        self._log = log
        self._began = time.monotonic()
        self._kernel: Any = None
        self._ending: Result | None = None  # what it is told to end as
        self.at = (0, 0)  # code cell, of how many

    def run(self) -> Result:
        """Run the notebook; how it ended."""
        signal.signal(signal.SIGTERM, self._asked_to_stop)
        limit = threading.Timer(self._order.timeout_s, self._out_of_time)
        limit.daemon = True
        limit.start()
        try:
            result = self._start_kernel() or self._execute()
        except Exception as error:  # noqa: BLE001  # whatever it is: a job always says how it ended
            self._log.note(traceback.format_exc())
            result = _failed("internal", f"Running the notebook failed: {error!r}.")
        limit.cancel()
        return self._ending or result

    def _start_kernel(self) -> Result | None:
        """Start the kernel without waiting for it; says why it cannot be."""
        from jupyter_client.kernelspec import NoSuchKernel
        from jupyter_client.manager import AsyncKernelManager
        from jupyter_core.utils import run_sync

        kernel = AsyncKernelManager(kernel_name=self._order.kernel)
        options = []
        if kernel.ipykernel:
            # a port that is free now may be taken when the kernel comes to it; such a name is nobody's
            kernel.transport, kernel.ip = "ipc", f"@atoll-{secrets.token_hex(16)}"
            options = _KERNEL_OPTIONS
        try:
            run_sync(kernel.start_kernel)(extra_arguments=options, cwd=self._order.cwd)
        except NoSuchKernel:
            return _failed(
                "no_kernel",
                f"The environment has no kernel {self._order.kernel!r}. Choose another one in the"
                " lab (Kernel → Change Kernel), or install it and submit the notebook again.",
            )
        except OSError as error:
            return _failed("kernel_start", f"The kernel could not be started: {error}.")
        self._kernel = kernel
        return None

    def _execute(self) -> Result:
        from atoll.jobs import engine

        order = self._order
        run = engine.Run(
            notebook=self._place.notebook,
            output=self._place.output,
            log=self._log,
            most_output=order.most_output,
            start_within_s=order.start_within_s,
            progress=self._progress,
            ending=lambda: self._ending is not None,
            kernel=self._kernel,
        )
        try:
            engine.execute(run, order.parameters, order.kernel, order.language)
        except engine.CellFailedError as error:
            return self._cell_failed(error.number, error.name, error.value)
        except engine.KernelStartError as error:
            return _failed(
                "kernel_start",
                f"The kernel did not come up ({error}). The log has what it said; a broken package"
                " in the environment is the usual cause.",
            )
        except (engine.KernelLostError, engine.EndedError):
            return _failed(
                "kernel_died",
                f"The kernel died in cell {self.at[0]}: it was killed, most often for using too"
                " much memory, or it ended itself.",
            )
        except OSError as error:
            return _failed(
                "not_saved", f"The output could not be saved: {error.strerror or error}."
            )
        return {"status": "succeeded"}

    def _cell_failed(self, number: int | None, name: str, value: str) -> Result:
        where = f"Cell {number}" if number is not None else "The cell of parameters"
        value = value if len(value) <= _VALUE_MOST else value[:_VALUE_MOST] + "…"
        first = value.strip().partition("\n")[0]
        said = f"{name}: {first}" if first else name
        return {
            **_failed("cell_failed", f"{where} failed: {said}"),
            "failure": {"cell": number, "name": name, "value": value},
        }

    def _progress(self, cell: int, cells: int) -> None:
        self.at = (cell, cells)
        self._place.say_progress(cell, cells)

    def _asked_to_stop(self, _: int, __: FrameType | None) -> None:
        self._end({"status": "stopped", "reason": "stopped", "message": "It was stopped."})

    def _out_of_time(self) -> None:
        cell = f" in cell {self.at[0]}" if self.at[0] else ""
        limit = _duration(self._order.timeout_s)
        self._end(_failed("time_limit", f"It reached its time limit of {limit}{cell}."))

    def _end(self, result: Result) -> None:
        """Interrupt the cell that runs; what does not end by that is ended from aside."""
        if self._ending is None:
            self._ending = result
            self._signal_kernel(signal.SIGINT)
            threading.Thread(target=self._insist, daemon=True).start()

    def _insist(self) -> None:
        time.sleep(self._order.grace_s * 0.4)
        self._signal_kernel(signal.SIGKILL)
        time.sleep(self._order.grace_s * 0.4)
        finish(self._place, self._ending or {}, self.at)

    def _signal_kernel(self, number: signal.Signals) -> None:
        pid = getattr(getattr(self._kernel, "provisioner", None), "pid", None)
        if isinstance(pid, int):
            try:
                os.killpg(pid, number)  # a kernel leads its own session
            except ProcessLookupError:
                return


def finish(place: JobDirectory, result: Result, at: tuple[int, int]) -> None:
    """Say how it ended, and end at once: nothing of the notebook's can hold the process."""
    try:
        place.say_result({**result, "step": list(at), "finished_at": time.time()})
    finally:
        os._exit(0 if result.get("status") == "succeeded" else 1)


def main(arguments: Sequence[str]) -> int:
    """Run the job in the directory, unless another process has it."""
    place = JobDirectory(Path(arguments[0]))
    if not place.claim(os.getpid(), psutil.Process().create_time()):
        return 0
    order = place.order()
    log = LogFile(place.log, order.most_log)
    reader = log.take_over()
    process = JobProcess(place, order, log)
    result = process.run()
    log.note(str(result.get("message") or "[done]"))
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123  # a descriptor is what is wanted
        for descriptor in (1, 2):
            os.dup2(nothing.fileno(), descriptor)
    reader.join(_DRAIN_S)
    finish(place, result, process.at)
    return 1


def _failed(reason: str, message: str) -> Result:
    return {"status": "failed", "reason": reason, "message": message}


def _duration(seconds: int) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}{'s' if seconds > size else ''}"
    return f"{seconds} second{'s' if seconds != 1 else ''}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
