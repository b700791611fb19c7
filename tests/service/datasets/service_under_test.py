"""The datasets capability behind HTTP, as a process or a thread; the hub beside it is a stub."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from atoll.datasets import routes
from atoll.datasets.service import MIGRATIONS, Datasets
from atoll.datasets.settings import DatasetSettings
from atoll.kit import db, web
from atoll.kit.db import Database
from atoll.kit.events import EventStream
from atoll.kit.home import Home
from atoll.kit.hub import Caller, HubAuth
from atoll.kit.loops import KeyedQueue, run_reconciler
from fastapi import FastAPI

from tests.databases import url_of
from tests.listening import listening, server_for

KIT_MIGRATIONS = Path(db.__file__).parent / "migrations" / "versions"

USERS = {
    "ada": {"kind": "user", "name": "ada", "scopes": ["custom:atoll:use!user=ada"]},
    "bob": {
        "kind": "user",
        "name": "bob",
        "groups": ["sales"],
        "scopes": ["custom:atoll:use!user=bob"],
    },
    "noscope": {"kind": "user", "name": "eve", "scopes": ["read:users!user=eve"]},
    "admin": {"kind": "user", "name": "root", "scopes": ["custom:atoll:use", "custom:atoll:admin"]},
}
"""Tokens that the hub knows."""


def hub_answers(request: httpx.Request) -> httpx.Response:
    """JupyterHub's `GET /hub/api/user`."""
    found = USERS.get(request.headers["Authorization"].removeprefix("token "))
    return httpx.Response(200, json=found) if found else httpx.Response(403, json={})


async def job_tokens(token: str, *, fresh: bool) -> Caller | None:
    """The token `job-of-ada` is a job's."""
    if token != "job-of-ada":
        return None
    return Caller("ada", scopes=frozenset({"custom:atoll:use"}), job="j-1")


class ReadsKept:
    """What jobs have read."""

    def __init__(self) -> None:
        self.reads: list[tuple[str, str]] = []

    def record_read(self, job_id: str, dataset_id: str) -> None:
        """Noted."""
        self.reads.append((job_id, dataset_id))


def build(home: Home, settings: DatasetSettings, reads: ReadsKept) -> FastAPI:
    """The app with its reconciler, woken by events, as the service has it."""
    home.create()
    database = Database(url_of(home))
    database.upgrade([KIT_MIGRATIONS, MIGRATIONS])
    datasets = Datasets(database, home, settings, reads)
    events = EventStream(database)
    auth = HubAuth(
        "http://hub/hub/api/", issued=job_tokens, transport=httpx.MockTransport(hub_answers)
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        queue = KeyedQueue()
        async with asyncio.TaskGroup() as tasks:
            (reconciler,) = datasets.reconcilers()
            loop = run_reconciler(reconciler, queue, workers=4, resync_s=0.5)
            running = [tasks.create_task(events.run()), tasks.create_task(loop)]
            events.listen(lambda event, _: queue.add(event.subject))
            yield
            for task in running:
                task.cancel()
        await auth.close()
        database.close()

    app = web.create_app("Atoll", "0", "under test")
    app.router.lifespan_context = lifespan
    app.include_router(routes.router)
    app.state.auth, app.state.datasets, app.state.database = auth, datasets, database
    app.state.events, app.state.home = events, home
    return app


def main(home: str, settings: str) -> None:
    """Serve until killed; the port is in the home's `run/port`."""
    place = Home(Path(home))
    app = build(place, DatasetSettings.model_validate(json.loads(settings)), ReadsKept())
    with listening() as ear:
        draft = place.run / "port.draft"
        draft.write_text(str(ear.getsockname()[1]))
        draft.replace(place.run / "port")
        server_for(app).run(sockets=[ear])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
