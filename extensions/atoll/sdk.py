"""What `import atoll` offers: the platform's data, jobs and environments, from a notebook or a script."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from atoll.kit import session

if TYPE_CHECKING:
    from pydantic import JsonValue

    from atoll.checkpoints.handle import Checkpoint
    from atoll.datasets.handle import Dataset
    from atoll.jobs.handle import Job
    from atoll.kit.http import Connection
    from atoll.kit.notebook import Listing

_connections: dict[tuple[int, str, str], Connection] = {}
"""Open connections by process (a forked one must not share sockets), URL and token."""


def datasets(name: str | None = None) -> Listing[Dataset]:
    """The datasets you may use, the platform's and your own; those whose name contains `name`.

    Example: `atoll.datasets()`
    """
    from atoll.datasets import client, handle

    connection = _connection()
    found = connection.every(lambda cursor: client.datasets(name=name, cursor=cursor))
    return handle.listing(connection, found)


def dataset(ref: str) -> Dataset:
    """A dataset by name, `owner:name`, or id. Nothing is read until it is asked for.

    Example: `atoll.dataset("flights").to_pandas()`
    """
    from atoll.datasets import client, handle

    connection = _connection()
    return handle.Dataset(connection, connection.send(client.dataset(ref)))


def submit(
    notebook: str | Path | Mapping[str, JsonValue],
    parameters: Mapping[str, object] | None = None,
    *,
    environment: str = "server",
    server: str | None = None,
    queue: str = "default",
    timeout: float | timedelta | None = None,
    retries: int = 0,
    name: str | None = None,
    cpu: float | None = None,
    memory: str | None = None,
    gpu: int | None = None,
    files: Sequence[str | Path] = (),
) -> Job:
    """Run a notebook as a job: a path, or a notebook document. Returns as soon as it is accepted.

    `environment` is `server` (this server's, saved on the spot), `last` (its last checkpoint),
    `base` (the platform's own packages alone), or a checkpoint's digest; `server` names another
    server of yours. `timeout` is in seconds, or a timedelta; the job is ended after it. One that
    fails is run again up to `retries` times, each time as a job of its own, which `wait` waits for. `cpu`,
    `memory` (such as `4G`) and `gpu` are what it may use, where jobs run in a cluster; elsewhere they
    have no effect, as a warning says. `files` are paths from the notebook's folder, of files and of
    folders with all that is in them: the job starts in a directory with just these, as they are now.

    Example: `atoll.submit("report.ipynb", {"year": 2013}).wait().output()`
    """
    from atoll.jobs import client, handle, submission

    request = submission.request(
        notebook,
        {} if parameters is None else parameters,
        environment=environment,
        server=server,
        queue=queue,
        timeout_s=timeout.total_seconds() if isinstance(timeout, timedelta) else timeout,
        retries=retries,
        name=name,
        cpu=cpu,
        memory=memory,
        gpu=gpu,
        files=files,
    )
    connection = _connection()
    found = connection.send(client.submit(request))
    if (told := handle.unused(found)) is not None:
        warnings.warn(told, stacklevel=2)
    return handle.Job(connection, found)


def jobs(status: str | None = None, *, name: str | None = None, limit: int = 50) -> Listing[Job]:
    """Your newest jobs, at most `limit`; those of one status or notebook name where given.

    Example: `atoll.jobs("failed")`
    """
    from atoll.jobs import client, handle, submission

    wanted = submission.status(status) if status is not None else None
    connection = _connection()
    found = connection.every(
        lambda cursor: client.jobs(status=wanted, name=name, cursor=cursor, limit=min(limit, 200)),
        limit,
    )
    return handle.listing(connection, found)


def job(id: str) -> Job:  # noqa: A002  # what users call it
    """A job by its id, from anywhere.

    Example: `atoll.job("j-0192f0c1a2b3c4d5e6f7a8").status`
    """
    from atoll.jobs import client, handle

    connection = _connection()
    return handle.Job(connection, connection.send(client.job(id)))


def checkpoint(note: str = "", *, server: str | None = None) -> Checkpoint:
    """Save this server's environment now, without stopping it; waits for it, with progress.

    `server` names another running server of yours (`-` is the default server).

    Example: `atoll.checkpoint("before the upgrade")`
    """
    from atoll.checkpoints import handle
    from atoll.kit.names import server_name

    connection = _connection()
    which = None if server is None else server_name(server)
    return handle.Checkpoint(connection, handle.save(connection, which, note))


def checkpoints(server: str | None = None, *, shared: bool = False) -> Listing[Checkpoint]:
    """Your saved environments, newest first; of one server where it is named (`-`: the default).

    With `shared` those of others, which they share with you.

    Example: `atoll.checkpoints()[0].changes`
    """
    from atoll.checkpoints import client, handle
    from atoll.kit.names import server_name

    which = None if server is None else server_name(server)
    connection = _connection()
    found = connection.every(
        lambda cursor: client.checkpoints(server=which, shared=shared, cursor=cursor)
    )
    return handle.listing(connection, found)


def _connection() -> Connection:
    found = session.find()
    key = (os.getpid(), found.url, found.token)
    if key not in _connections:
        _connections[key] = found.connect()
    return _connections[key]
