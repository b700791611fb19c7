"""What the tests hold in their hands: the running service, notebooks, and jobs."""

from __future__ import annotations

import json
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from atoll.checkpoints import client as checkpoints
from atoll.checkpoints.models import StartRequest
from atoll.jobs import client
from atoll.jobs.models import Job, JobRequest, JobStatus, Notebook
from atoll.kit.http import Call, Connection
from pydantic import JsonValue

T = TypeVar("T")


def eventually(look: Callable[[], T], until: Callable[[T], bool], within_s: float = 60.0) -> T:
    """What `look` gives as soon as it is as wanted."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if until(found):
            return found
        assert time.monotonic() < deadline, f"still {found!r}"
        time.sleep(0.02)


def notebook(
    *sources: str, parameters: str | None = None, tags: Sequence[str] = (), kernel: str = "python3"
) -> Notebook:
    """A notebook of code cells; `parameters` is the source of a cell tagged so, put first."""
    cells = [("parameters", parameters)] if parameters is not None else []
    cells += [("", source) for source in sources]
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"name": kernel, "display_name": kernel, "language": "python"},
            "language_info": {"name": "python"},
        },
        "cells": [
            {
                "id": f"cell-{number}",
                "cell_type": "code",
                "execution_count": None,
                "metadata": {"tags": [tag] if tag else list(tags)},
                "outputs": [],
                "source": source,
            }
            for number, (tag, source) in enumerate(cells)
        ],
    }


@dataclass
class Atoll:
    """The service, spoken to as users."""

    url: str
    connections: dict[str, Connection] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, call: Call[T], who: str = "ada") -> T:
        """Send a call with somebody's token (the stub's tokens are names)."""
        with self.lock:
            if who not in self.connections:
                self.connections[who] = Connection(self.url + "api/v1/", who)
        return self.connections[who].send(call)

    def submit(
        self,
        document: Notebook,
        *,
        who: str = "ada",
        parameters: dict[str, JsonValue] | None = None,
        name: str = "test.ipynb",
        folder: str = "",
        environment: str = "base",
        timeout_s: int | None = None,
        retries: int = 0,
    ) -> Job:
        """Submit a notebook."""
        request = JobRequest(
            name=name,
            folder=folder,
            notebook=document,
            parameters=parameters or {},
            environment=environment,
            timeout_s=timeout_s,
            retries=retries,
        )
        return self.send(client.submit(request), who)

    def job(self, job: Job, who: str = "ada") -> Job:
        """How the job stands."""
        return self.send(client.job(job.id), who)

    def until(self, job: Job, look: Callable[[Job], bool], within_s: float = 60.0) -> Job:
        """The job once it is as wanted."""
        return eventually(lambda: self.job(job), look, within_s)

    def final(self, job: Job, within_s: float = 60.0) -> Job:
        """The job once it has ended."""
        return self.until(job, lambda found: found.status.final, within_s)

    def in_cell(self, job: Job, cell: int) -> Job:
        """The job once it runs this cell."""
        return self.until(
            job, lambda found: found.status == JobStatus.RUNNING and found.step.cell == cell
        )

    def run(self, document: Notebook, **options: object) -> Job:
        """Submit a notebook and wait for its end."""
        return self.final(self.submit(document, **options))  # type: ignore[arg-type]

    def log(self, job: Job, who: str = "ada") -> str:
        """The whole log as it is now."""
        text, offset = "", 0
        while True:
            piece = self.send(client.log(job.id, offset), who)
            text += piece.text
            if piece.next_offset == offset:
                return text
            offset = piece.next_offset

    def output(self, job: Job) -> dict[str, JsonValue]:
        """The output notebook."""
        document = json.loads(self.send(client.output(job.id)))
        assert isinstance(document, dict)
        return document

    def close(self) -> None:
        """Close the connections."""
        for connection in self.connections.values():
            connection.close()


def printed(document: dict[str, JsonValue]) -> str:
    """What the cells of an output notebook printed and gave."""
    text = ""
    for cell in document["cells"]:  # type: ignore[union-attr]
        for output in cell.get("outputs", []):  # type: ignore[union-attr,call-arg,arg-type,call-overload]
            found = output.get("text") or output.get("data", {}).get("text/plain", "")
            text += "".join(found)
    return text


def started(atoll: Atoll, user: str = "ada", name: str = "") -> dict[str, str]:
    """As the hub: a server that is running; the variables of its processes."""
    atoll.send(checkpoints.start(user, name, StartRequest()), "hub")
    prepared = eventually(
        lambda: atoll.send(checkpoints.preparation(user, name), "hub"), lambda found: found.ready
    )
    atoll.send(checkpoints.started(user, name, prepared.start_id), "hub")
    return prepared.variables


def wheel(folder: Path, name: str = "seashell", version: str = "1.0") -> Path:
    """A wheel made by hand: a module that knows its version."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": f"__version__ = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, content in files.items():
            archive.writestr(inside, content)
    return path
