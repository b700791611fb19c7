"""The program of a job's pod: `python -m atoll.jobs.remote` takes the job and runs it once.

It claims the job at the service, runs the notebook beside itself as the local runner would, and tells
the service what comes of it. A service that is away is waited for: the notebook goes on meanwhile.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final

from atoll.jobs import endings
from atoll.jobs.directory import JobDirectory, Order, start_folder
from atoll.jobs.reporting import AwayError, OverError, RefusedError, Reporter, Service

_LOOK_S: Final = 0.2
_CLAIM_WITHIN_S: Final = 1800.0  # then the pod ends, and another one is made
_AGAIN_MOST_S: Final = 10.0
_LAST_WORDS: Final = Path("/dev/termination-log")  # a pod's status holds what is in it
_LAST_WORDS_MOST: Final = 1500  # characters of the message in it: 4 KB are kept
_STOPPED_WITHIN_S: Final = 15.0  # less than the pod is given for it
_OOM_COUNTS: Final = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
)

Said = dict[str, Any]


class _CannotStartError(Exception):
    """The notebook cannot be run here."""


class RemoteJob:
    """One run in this pod."""

    def __init__(self, service: Service, pod: str) -> None:
        self._service = service
        self._pod = pod
        self._claimed = False
        self._stopping = False
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Take the job and see it through; the exit status."""
        signal.signal(signal.SIGTERM, self._asked_to_stop)
        try:
            order = self._claim()
        except OverError as error:
            # what is printed here is the pod's own log
            print(f"This job is not for this pod: {error}", flush=True)
            return 0
        except AwayError as error:
            print(f"The platform did not answer: {error}", flush=True)
            return 75  # EX_TEMPFAIL
        place = JobDirectory(Path(tempfile.mkdtemp(prefix="atoll-job-")))
        reporter = Reporter(self._service, place, int(order["log_at"]))
        killed_before = _killed_for_memory()
        try:
            said = self._carry_out(place, order, reporter)
            if said.get("reason") in ("kernel_died", "lost") and (
                _killed_for_memory() > killed_before
            ):
                said = _out_of_memory(said, str(order["memory"]))
            _leave(said)
            self._deliver(reporter, said, float(order["deliver_within_s"]))
        except OverError as error:
            self._kill()
            print(f"The platform has ended this job: {error}", flush=True)
            return 0
        return 0 if said["status"] == "succeeded" else 1

    def _claim(self) -> Said:
        order: Said = _again(lambda: self._service.claim(self._pod), _CLAIM_WITHIN_S)
        self._claimed = True
        return order

    def _carry_out(self, place: JobDirectory, order: Said, reporter: Reporter) -> Said:
        """Run the notebook to its end; how it ended."""
        try:
            self._start(place, order)
        except _CannotStartError as error:
            if not self._stopping:
                return {"status": "failed", "reason": "start_failed", "message": str(error)}
        else:
            self._follow(reporter)
        return _last_word(place, self._stopping)

    def _start(self, place: JobDirectory, order: Said) -> None:
        """Run the notebook in a process of its own: whatever becomes of it, this one can tell."""
        folder = self._folder(place, order)
        place.prepare(
            Order(
                name=order["name"],
                kernel=order["kernel"],
                language=order["language"],
                parameters=order["parameters"],
                timeout_s=order["timeout_s"],
                grace_s=order["grace_s"],
                start_within_s=order["start_within_s"],
                cwd=str(folder),
                most_log=order["most_log"],
                most_output=order["most_output"],
            ),
            order["notebook"].encode(),
        )
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-s", "-m", "atoll.jobs.execute", str(place.path)],
            env={**os.environ, "JUPYTER_RUNTIME_DIR": str(place.runtime)},
            cwd=place.path,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        if self._stopping:  # asked meanwhile
            self._child.terminate()

    def _folder(self, place: JobDirectory, order: Said) -> Path:
        """Where the notebook starts: beside the files that it was given, else where it lies at home,
        else in an empty directory."""
        if order.get("files"):
            return self._unpacked(place, order["folder"])
        place.work.mkdir()
        home = Path.home()
        return start_folder(order["folder"], home) if os.access(home, os.W_OK) else place.work

    def _unpacked(self, place: JobDirectory, folder: str) -> Path:
        from atoll.jobs import bundle  # few jobs need it
        from atoll.kit.errors import InvalidError

        try:
            archive = _again(self._service.files, _CLAIM_WITHIN_S, until=lambda: self._stopping)
            bundle.unpack(archive, place.work)
            return bundle.start_in(place.work, folder)
        except (AwayError, RefusedError, OSError, InvalidError) as error:
            raise _CannotStartError(
                f"The files that it was given cannot be had: {error}"
            ) from error

    def _follow(self, reporter: Reporter) -> None:
        """Tell how it goes until it has ended."""
        failures, again_at = 0, 0.0
        while not self._ended():
            time.sleep(_LOOK_S)
            if time.monotonic() < again_at:
                continue
            try:
                reporter.tell()
                failures = 0
            except AwayError:
                failures += 1
                again_at = time.monotonic() + _pause(failures)

    def _deliver(self, reporter: Reporter, said: Said, within_s: float) -> None:
        """Everything there is to tell, the result last; given up where nobody takes it for long."""

        def everything() -> None:
            reporter.tell(all_of_it=True)
            self._service.result(said)

        with suppress(AwayError):  # the last words in the pod's status are what remains
            _again(everything, within_s, until=lambda: self._stopping)

    def _ended(self) -> bool:
        """Whether the notebook's process has ended. Orphans of its children are waited for too: the
        first process of a pod is everybody's parent in the end."""
        assert self._child is not None  # noqa: S101  # it was started
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            if pid == self._child.pid:
                self._child.returncode = 0  # taken: nobody may wait for it again
                return True

    def _asked_to_stop(self, _: int, __: FrameType | None) -> None:
        self._stopping = True
        if not self._claimed:
            sys.exit(143)  # nothing has begun
        if self._child is not None and self._child.returncode is None:
            self._child.terminate()

    def _kill(self) -> None:
        if self._child is not None and self._child.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGTERM)
            self._child.wait()


def _again(
    what: Callable[[], Any], within_s: float, until: Callable[[], bool] | None = None
) -> Any:
    """What it gives, tried again while the service is away; AwayError after that time.

    Once `until` holds there is less time: a pod that is being ended is not waited for.
    """
    began, stopped = time.monotonic(), None
    failures = 0
    while True:
        try:
            return what()
        except AwayError:
            failures += 1
            moment = time.monotonic()
            if until is not None and until():
                stopped = stopped or moment
            late = stopped is not None and moment - stopped > _STOPPED_WITHIN_S
            if late or moment - began > within_s:
                raise
        time.sleep(_pause(failures))


def _pause(failures: int) -> float:
    return min(_AGAIN_MOST_S, 0.25 * 2.0 ** min(failures, 8)) * (0.8 + secrets.randbelow(40) / 100)


def _last_word(place: JobDirectory, stopping: bool) -> Said:
    """What the notebook's process said at its end, or what is to be said for it."""
    found = place.result()
    if found is not None:
        return {name: found[name] for name in found if name != "finished_at"}
    step = place.progress() or (0, 0)
    if stopping:
        stopped = {"status": "stopped", "reason": "stopped", "message": "It was stopped."}
        return {**stopped, "step": list(step)}
    said = {"status": "failed", "reason": "lost", "message": endings.vanished(step[0])}
    return {**said, "step": list(step), "failure": {"cell": step[0] or None}}


def _out_of_memory(said: Said, memory: str) -> Said:
    cell = int(said["step"][0])
    message = endings.out_of_memory(cell, memory)
    told = {"reason": "oom_killed", "message": message, "failure": {"cell": cell or None}}
    return {**said, "status": "failed", **told}


def _killed_for_memory() -> int:
    """How many processes of this pod the kernel has killed for their memory."""
    for path in _OOM_COUNTS:
        with suppress(OSError, ValueError, IndexError):
            for line in path.read_text("ascii").splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def _leave(said: Said) -> None:
    """Leave the result in the pod's status, for a service that is away until the pod has ended."""
    if not _LAST_WORDS.exists():
        return  # in no pod
    failure: Mapping[str, Any] = said.get("failure") or {}
    short = {
        **said,
        "message": str(said.get("message") or "")[:_LAST_WORDS_MOST],
        "failure": {"cell": failure.get("cell"), "name": str(failure.get("name", ""))[:100]},
    }
    with suppress(OSError):
        _LAST_WORDS.write_text(json.dumps(short), "utf-8")


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Run the job that the environment names."""
    claimant = secrets.token_hex(16)
    service = Service(environ["ATOLL_URL"], environ["ATOLL_TOKEN"], environ["ATOLL_JOB"], claimant)
    return RemoteJob(service, environ.get("ATOLL_POD", "")).run()


if __name__ == "__main__":
    sys.exit(main())
