"""A job in a notebook's hands: how it stands, waiting for it, its log and its output."""

from __future__ import annotations

import json
import posixpath
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from atoll.jobs import client, models
from atoll.kit import words
from atoll.kit.errors import AtollError
from atoll.kit.notebook import Listing, Text, html_facts
from atoll.kit.progress import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import JsonValue

    from atoll.kit.http import Connection

_LOOK_FIRST_S: Final = 0.1
_LOOK_MOST_S: Final = 1.0  # a person sees no difference, and thousands may wait
_NO_EFFECT: Final = "no effect here: jobs use what their machine has"
_LOG_PIECE: Final = 1 << 20


class JobFailedError(AtollError):
    """The job failed or was stopped; the sentence says where and why."""

    status, code, title = 500, "job_failed", "The job failed"


class OutputNotebook(dict[str, "JsonValue"]):
    """A job's output notebook, as JSON; `save` writes it to a file."""

    @classmethod
    def parse(cls, content: bytes) -> OutputNotebook:
        """The notebook that the platform sent."""
        return cls(json.loads(content))

    def save(self, path: str | Path) -> Path:
        """Write it as an `.ipynb` file; the path."""
        target = Path(path)
        target.write_text(json.dumps(self, indent=1, ensure_ascii=False) + "\n", "utf-8")
        return target

    @property
    def text(self) -> str:
        """What its code cells printed and showed as text."""
        return Text("\n".join(filter(None, map(_cell_text, _list(self.get("cells"))))))

    def __repr__(self) -> str:
        return f"<OutputNotebook of {words.count(len(_list(self.get('cells'))), 'cell')}>"


class Job:
    """One run of a notebook on the platform. It goes on when this kernel or server ends."""

    def __init__(self, connection: Connection, found: models.Job) -> None:
        self._connection = connection
        self._found = found

    @property
    def id(self) -> str:
        """The job's id, the newest one's where it was run again; `atoll.job(id)` finds it anywhere."""
        return self._found.id

    @property
    def name(self) -> str:
        """The notebook's name."""
        return self._found.name

    @property
    def parameters(self) -> dict[str, JsonValue]:
        """The parameters it was submitted with."""
        return dict(self._found.parameters)

    @property
    def files(self) -> list[str]:
        """The paths of the files that it was given, as its notebook opens them."""
        given = self._connection.send(client.files(self.id))
        folder = self._found.folder or "."
        return sorted(posixpath.relpath(file.path, folder) for file in given)

    @property
    def environment(self) -> str | None:
        """The digest of the environment it runs in, once that is known."""
        return self._look().environment

    @property
    def status(self) -> str:
        """queued, admitted, starting, running, succeeded, failed or stopped; asks the platform."""
        return self._look().status.value

    @property
    def message(self) -> str:
        """Why it waits, how far it is, or why it failed, in a sentence."""
        return sentence(self._look())

    def wait(self, timeout: float | None = None, *, check: bool = True) -> Job:
        """Wait until it is over, with progress; the job.

        `timeout` is in seconds: TimeoutError after that, and the job goes on. With `check` a job
        that failed or was stopped raises JobFailedError.
        """
        self._found = wait(self._connection, self._found, timeout)
        if check and self._found.status is not models.JobStatus.SUCCEEDED:
            raise JobFailedError(
                f"{self.name or self.id}: {sentence(self._found)}",
                hint="job.logs() has the log, job.output() the notebook as far as it came.",
            )
        return self

    def logs(self) -> str:
        """Its log so far."""
        pieces: list[str] = []
        follow_log(self._connection, self.id, pieces.append, follow=False)
        return Text("".join(pieces))

    def output(self, path: str | Path | None = None) -> OutputNotebook:
        """Its output notebook, also while it runs; written to `path` where one is given."""
        found = OutputNotebook.parse(self._connection.send(client.output(self.id)))
        if path is not None:
            found.save(path)
        return found

    def stop(self) -> Job:
        """Ask for it to be stopped, and not run again; `wait(check=False)` returns once it is."""
        self._found = stop(self._connection, self.id)
        return self

    def again(self) -> Job:
        """Submit the same notebook with the same parameters once more; the new job."""
        return Job(self._connection, self._connection.send(client.again(self.id)))

    def delete(self) -> None:
        """Delete it with its log and output; only a job that is over."""
        self._connection.send(client.delete(self.id))

    def _look(self) -> models.Job:
        while (following := _following(self._found)) is not None:
            self._found = self._connection.send(client.job(following))
            if not self._found.status.final:
                break
        return self._found

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.name}: {sentence(self._found)}>"

    def _repr_html_(self) -> str:
        found = self._look()
        return html_facts(found.name or found.id, described(found))


HEADINGS: Final = ("Notebook", "Status", "", "Time", "Submitted", "ID")


def row(found: models.Job) -> tuple[str, ...]:
    """A job as a line of a table under HEADINGS."""
    lasted = words.seconds_between(found.started_at, found.finished_at)
    return (
        found.name,
        found.status.value,
        _detail(found),
        words.duration(lasted) if lasted is not None else "",
        words.ago(found.created_at),
        found.id,
    )


def dataset_names(connection: Connection, found: models.Job) -> list[str]:
    """What the datasets are called that it read; the id of one that is gone or not the caller's."""
    return [_dataset_name(connection, id_) for id_ in found.datasets]


def _dataset_name(connection: Connection, id_: str) -> str:
    try:
        return connection.send(client.dataset_name(id_)).name
    except AtollError:  # the rest of the facts is worth showing without it
        return id_


def described(found: models.Job, datasets: list[str] | None = None) -> list[tuple[str, str | None]]:
    """A job as facts for people; `datasets` are the names of those it read, where they are known."""
    lasted = words.seconds_between(found.started_at, found.finished_at)
    parameters = ", ".join(f"{name}={value!r}" for name, value in found.parameters.items())
    return [
        ("Status", sentence(found)),
        ("Time", words.duration(lasted) if lasted is not None else None),
        ("Parameters", parameters),
        ("Submitted", words.ago(found.created_at)),
        ("Queue", found.queue),
        ("Time limit", words.duration(found.timeout_s)),
        ("Retries", str(found.retries) if found.retries else None),
        ("Runs again", found.retry_of),
        ("Run again by", found.retried_by),
        ("Resources", _resources(found)),
        ("Files", _files(found.files)),
        ("Environment", found.environment or found.environment_choice),
        ("Datasets read", ", ".join(datasets or found.datasets)),
        ("ID", found.id),
    ]


def _files(given: models.FileCount) -> str:
    """What it was given, such as `3 files, 12 kB`; empty where that is none."""
    return f"{words.count(given.count, 'file')}, {words.size(given.size)}" if given.count else ""


def unused(found: models.Job) -> str | None:
    """What to tell who submitted it, where the resources that it asks for have no effect."""
    if not found.resources_unused:
        return None
    return f"What it asks for ({_asked(found.resources)}) has {_NO_EFFECT}."


def _resources(found: models.Job) -> str:
    asked = _asked(found.resources)
    return f"{asked} ({_NO_EFFECT})" if found.resources_unused else asked


def _asked(asked: models.Resources) -> str:
    """What it asked for, such as `2 CPUs, 8G of memory, 1 GPU`; empty for the defaults."""
    parts = [
        f"{asked.cpu:g} CPU{'' if asked.cpu == 1 else 's'}" if asked.cpu else "",
        f"{asked.memory} of memory" if asked.memory else "",
        words.count(asked.gpu, "GPU") if asked.gpu else "",
    ]
    return ", ".join(filter(None, parts))


def sentence(found: models.Job) -> str:
    """How the job stands, for people: `running, cell 3 of 12`, `failed: cell 4: KeyError 'dest'`."""
    detail = _detail(found)
    separator = ", " if found.status is models.JobStatus.RUNNING else ": "
    return f"{found.status.value}{separator}{detail}" if detail else found.status.value


def _detail(found: models.Job) -> str:
    if found.status is models.JobStatus.RUNNING and found.step.cells:
        return f"cell {found.step.cell} of {found.step.cells}"
    failure = found.failure
    if failure is not None and failure.cell is not None and failure.name:
        again = " (run again)" if found.retried_by else ""
        return f"cell {failure.cell}: {failure.name} {failure.value}".strip() + again
    if found.status is models.JobStatus.QUEUED and found.position is not None:
        return f"{found.message or 'waiting'} (number {found.position} in {found.queue!r})"
    return found.message or ""


def listing(connection: Connection, found: Iterable[models.Job]) -> Listing[Job]:
    """Jobs as a list that a notebook shows as a table."""
    return Listing(
        (Job(connection, item) for item in found),
        headings=HEADINGS,
        row=lambda job: row(job._found),
        empty='No jobs yet: atoll.submit("notebook.ipynb") runs one.',
    )


def wait(
    connection: Connection,
    found: models.Job,
    timeout_s: float | None = None,
    *,
    quiet: bool = False,
) -> models.Job:
    """The job once it is over, with progress; TimeoutError when that takes longer than wanted."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    pause = _LOOK_FIRST_S
    with progress(quiet=quiet) as report:
        while (following := _following(found)) is not None:
            step = found.step
            share = max(0, step.cell - 1) / step.cells if step.cells else None
            report(f"{found.name or found.id}: {sentence(found)}", share)
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(
                    f"{found.name or found.id} is still {sentence(found)} after"
                    f" {words.duration(timeout_s or 0)}; it goes on."
                )
            time.sleep(pause)
            pause = min(_LOOK_MOST_S, pause * 1.5)
            found = connection.send(client.job(following))
    return found


def stop(connection: Connection, id_: str) -> models.Job:
    """Ask for a job to be stopped, or for the one that runs it again where it has failed already."""
    found = connection.send(client.stop(id_))
    while found.status.final and found.retried_by is not None:
        found = connection.send(client.stop(found.retried_by))
    return found


def _following(found: models.Job) -> str | None:
    """The job to look at next: itself until it is over, and then the one that runs it again."""
    return found.retried_by if found.status.final else found.id


def follow_log(
    connection: Connection, id_: str, write: Callable[[str], object], *, follow: bool
) -> None:
    """Write the job's log, piece by piece; with `follow` until the job is over."""
    offset = 0
    while True:
        piece = connection.send(client.log(id_, offset=offset, limit=_LOG_PIECE))
        if piece.text:
            write(piece.text)
        if piece.complete or (not follow and piece.next_offset == offset):
            return
        if piece.next_offset == offset:
            time.sleep(_LOOK_MOST_S / 2)
        offset = piece.next_offset


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _cell_text(cell: JsonValue) -> str:
    outputs = _list(cell.get("outputs")) if isinstance(cell, dict) else []
    return "".join(_output_text(output) for output in outputs)


def _output_text(output: JsonValue) -> str:
    if not isinstance(output, dict):
        return ""
    data = output.get("data")
    found = data.get("text/plain") if isinstance(data, dict) else output.get("text")
    if isinstance(found, list):
        return "".join(str(line) for line in found)
    return str(found) if found is not None else ""
