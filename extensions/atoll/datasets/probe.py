"""The probe: a process of its own that looks at one source, and that may be killed at any time.

It reads its work from standard input, writes into its working directory, and ends when that input
is closed: a service that dies takes its probes with it.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from atoll.datasets import sample
from atoll.datasets.confine import confine
from atoll.datasets.engine import connected
from atoll.datasets.locations import opened
from atoll.datasets.readers import (
    Bounds,
    Desk,
    Found,
    Reader,
    TooSlowError,
    format_of,
    reader_for,
)
from atoll.datasets.source import Source, SourceError
from atoll.datasets.work import ANSWER, Answer, Outcome, Refusal, Work
from atoll.kit.errors import AtollError

_THREADS: Final = 2
_ENGINE_SHARE: Final = 0.5  # of the memory; the rest is Python's
_ADDRESSES: Final = 2  # times the memory: address space is bounded, and DuckDB reserves more
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NICE: Final = 10  # people's kernels go first


def main() -> None:
    """Do the work that standard input says, and write the answer."""
    work = Work.model_validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_service, daemon=True).start()
    _limit(work)
    answer = answered(work, Path.cwd())
    draft = Path(f"{ANSWER}.draft")
    draft.write_text(answer.model_dump_json(), "utf-8")
    draft.replace(ANSWER)


def answered(work: Work, folder: Path) -> Answer:
    """The answer to the work; sample and preview are then in the folder."""
    fingerprint = None
    try:
        source = opened(work.location, work.where)
        fingerprint = source.fingerprint
        if fingerprint in work.known:
            return Answer(fingerprint=fingerprint)
        return Answer(fingerprint=fingerprint, outcome=_looked(work, source, folder))
    except SourceError as error:
        return _refused(fingerprint, error.reason, str(error))
    except AtollError as error:
        return _refused(fingerprint, error.code, str(error))
    except MemoryError:
        return _out_of_memory(work, fingerprint)
    except OSError as error:
        return _of_the_system(work, error)


def _of_the_system(work: Work, error: OSError) -> Answer:
    if error.errno in _FULL:
        said = "The platform's disk has no room for the sample; free some."
        return _refused(None, "disk_full", said)
    said = f"{work.location.path} cannot be read: {error.strerror}."
    return _refused(None, "unreachable", said)


def _looked(work: Work, source: Source, folder: Path) -> Outcome:
    import duckdb

    format_ = work.format or format_of(source)
    reader = reader_for(format_)
    confine(source.parts, folder)
    try:
        desk, found = _sampled(work, reader, source, folder / "scratch")
        columns, _ = sample.store(
            desk.engine,
            found.types,
            folder,
            preview_rows=work.preview_rows,
            most_bytes=work.sample_most,
        )
    except duckdb.OutOfMemoryException as error:
        raise MemoryError from error
    except duckdb.Error as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        if any(os.strerror(number) in said for number in _FULL):
            raise OSError(errno.ENOSPC, said) from error
        raise SourceError(
            "unreadable",
            f"{source.path.name} cannot be read as {format_}: {said[:500]}",
            hint="Correct the source, then look again.",
        ) from error
    return Outcome(
        format=format_,
        columns=columns,
        partitions=found.partitions,
        options=found.options,
        rows=found.rows,
        rows_exact=found.rows_exact,
        size=source.size,
        modified=source.modified,
    )


def _sampled(work: Work, reader: Reader, source: Source, scratch: Path) -> tuple[Desk, Found]:
    """The source looked at and its sample made: read through, or its beginning where that is slow."""
    deadline = time.monotonic() + work.scan_limit_s
    bounds = Bounds(work.scan_most, work.sample_rows, work.disk_most)
    try:
        return _sampled_by(work, reader, source, (scratch / "through", bounds, deadline))
    except TooSlowError:
        beginning = replace(bounds, scan_most=0)
        return _sampled_by(work, reader, source, (scratch / "beginning", beginning, None))


def _sampled_by(
    work: Work, reader: Reader, source: Source, how: tuple[Path, Bounds, float | None]
) -> tuple[Desk, Found]:
    import duckdb

    scratch, bounds, deadline = how
    scratch.mkdir(parents=True)
    desk = Desk(connected(_bounded(work, scratch)), scratch, bounds, deadline)
    alarm = threading.Timer(work.scan_limit_s, desk.engine.interrupt)
    if deadline is not None:
        alarm.start()
    try:
        found = reader.look(source, work.location, desk)
        reader.sample(source, work.location, found, desk)
    except duckdb.InterruptException as error:
        raise TooSlowError from error
    finally:
        alarm.cancel()
    return desk, found


def _bounded(work: Work, scratch: Path) -> dict[str, str | int]:
    """DuckDB's settings for this work."""
    return {
        "threads": _THREADS,
        "memory_limit": f"{int(work.memory_most * _ENGINE_SHARE)}B",
        "temp_directory": str(scratch / "spilled"),
        "max_temp_directory_size": f"{work.disk_most}B",
    }


def _refused(fingerprint: str | None, reason: str, message: str) -> Answer:
    return Answer(fingerprint=fingerprint, refusal=Refusal(reason=reason, message=message))


def _out_of_memory(work: Work, fingerprint: str | None) -> Answer:
    return _refused(
        fingerprint,
        "memory",
        f"Looking at it takes more than {work.memory_most >> 20:,} MiB of memory. Store it in"
        " smaller rows or files; an administrator may raise `probe_memory_mb` in [datasets].",
    )


def _limit(work: Work) -> None:
    """Bounds that hold whatever the source does: memory, files, and no core dumps."""
    addresses = work.memory_most * _ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (addresses, addresses))
    resource.setrlimit(resource.RLIMIT_FSIZE, (work.disk_most, work.disk_most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICE)


def _end_with_the_service() -> None:
    """End at once when the service closes our input, by will or by dying."""
    while os.read(sys.stdin.fileno(), 1 << 10):
        continue
    os._exit(1)


if __name__ == "__main__":
    main()
