"""Running probes: a process group of its own for each, a time limit, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from atoll.datasets.work import ANSWER, Answer, Refusal, Work
from atoll.kit.locks import held

log = logging.getLogger(__name__)

_GONE_S: Final = 5.0  # a killed process that is not gone by then hangs in the kernel: it is left
_ANSWER_MOST: Final = 64 << 20
_SAID_MOST: Final = 2000
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


@contextlib.contextmanager
def draft(folder: Path) -> Iterator[int]:
    """Make the folder and hold it until the block ends; the descriptor that holds it.

    A held folder is being worked in, by this process or by a probe that it left: see `left`.
    """
    descriptor = _hold(folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def left(folder: Path) -> Iterator[bool]:
    """Whether nobody works in the folder; nobody begins to before the block ends."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield True
        return
    with held(descriptor) as alone:
        yield alone


def _hold(folder: Path) -> int:
    while True:
        folder.mkdir(parents=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # removed before it was held: another one
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if folder.exists():
                return descriptor
            os.close(descriptor)


async def probe(
    work: Work, folder: Path, hold: int, limit_s: float, environ: Mapping[str, str] = os.environ
) -> Answer:
    """Have a process look at the source; its answer, or why there is none after `limit_s`."""
    variables = {name: environ[name] for name in _KEPT if name in environ}
    with (folder / "said").open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "atoll.datasets.probe",
            stdin=asyncio.subprocess.PIPE,
            stdout=said,
            stderr=said,
            cwd=folder,
            env={**variables, "HOME": str(folder), "TMPDIR": str(folder)},
            start_new_session=True,
            pass_fds=(hold,),
        )
    assert process.stdin is not None  # noqa: S101  # a pipe was asked for
    try:
        with contextlib.suppress(ConnectionError):  # it died at once: its status tells
            process.stdin.write(work.model_dump_json().encode() + b"\n")
            await process.stdin.drain()
        async with asyncio.timeout(limit_s):
            status = await process.wait()
    except TimeoutError:
        return _timed_out(limit_s)
    finally:
        await asyncio.shield(_ended(process))
    return await asyncio.to_thread(_answer, folder, status)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Kill the group of a probe that did not end by itself (its readers start no processes)."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(_GONE_S):
            await process.wait()
    except TimeoutError:
        log.warning("the probe %d was killed and hangs in the kernel", process.pid)


def _answer(folder: Path, status: int) -> Answer:
    path = folder / ANSWER
    try:
        if path.stat().st_size > _ANSWER_MOST:
            return _crashed(folder, status)
        answer = Answer.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return _crashed(folder, status)
    path.unlink()
    (folder / "said").unlink()
    shutil.rmtree(folder / "scratch", ignore_errors=True)
    return answer


def _crashed(folder: Path, status: int) -> Answer:
    with contextlib.suppress(OSError):
        said = (folder / "said").read_text("utf-8", "replace")[-_SAID_MOST:]
        log.warning("a probe ended with %d: %s", status, said)
    return Answer(
        refusal=Refusal(
            reason="crashed",
            message="Looking at it ended in an error of the reader itself. The source may be"
            " damaged, or take more memory than `probe_memory_mb` in [datasets] allows.",
        )
    )


def _timed_out(limit_s: float) -> Answer:
    return Answer(
        refusal=Refusal(
            reason="timeout",
            message=f"The source did not answer within {limit_s:g} s. Is it on a disk or a database"
            " that hangs? It is tried again by itself; “Look again” asks at once.",
        )
    )
