"""The checkpoints capability behind HTTP, as a process or a thread; the hub beside it is a stub."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from atoll.checkpoints import routes
from atoll.checkpoints.service import MIGRATIONS, Checkpoints
from atoll.checkpoints.settings import CheckpointSettings
from atoll.kit import db, web
from atoll.kit.db import Database
from atoll.kit.events import EventStream
from atoll.kit.home import Home
from atoll.kit.hub import HubAuth
from atoll.kit.loops import KeyedQueue, run_reconciler
from fastapi import FastAPI

from tests.databases import url_of
from tests.dying import die_at
from tests.listening import listening, server_for

KIT_MIGRATIONS = Path(db.__file__).parent / "migrations" / "versions"

USERS = {
    "hub": {"kind": "service", "name": "atoll-hub", "scopes": ["custom:atoll:hub"]},
    "ada": {"kind": "user", "name": "ada", "scopes": ["custom:atoll:use!user=ada"]},
    "bob": {"kind": "user", "name": "bob", "scopes": ["custom:atoll:use!user=bob"]},
    "carl": {
        "kind": "user",
        "name": "carl",
        "groups": ["modelers"],
        "scopes": ["custom:atoll:use!user=carl"],
    },
    "ada-server": {"kind": "user", "name": "ada", "scopes": ["custom:atoll:use!server=ada/"]},
    "noscope": {"kind": "user", "name": "eve", "scopes": ["read:users!user=eve"]},
    "admin": {"kind": "user", "name": "root", "scopes": ["custom:atoll:use", "custom:atoll:admin"]},
}
"""Tokens that the hub knows."""


def hub_answers(request: httpx.Request) -> httpx.Response:
    """JupyterHub's `GET /hub/api/user`."""
    found = USERS.get(request.headers["Authorization"].removeprefix("token "))
    return httpx.Response(200, json=found) if found else httpx.Response(403, json={})


class HubStub:
    """The hub's other side: remembers which servers it was asked to stop."""

    def __init__(self) -> None:
        self.stopped: list[tuple[str, str]] = []

    def stop_server(self, user: str, server: str) -> None:
        """Noted."""
        self.stopped.append((user, server))

    def running(self) -> set[tuple[str, str]]:
        """None."""
        return set()

    def groups(self, user: str) -> frozenset[str] | None:
        """Those of the users whose tokens the hub knows."""
        found = next((one for one in USERS.values() if one["name"] == user), None)
        return None if found is None else frozenset(found.get("groups", ()))


def build(home: Home, settings: CheckpointSettings, hub: HubStub) -> FastAPI:
    """The app with its reconcilers, woken by events, as the service has it."""
    home.create()
    database = Database(url_of(home))
    database.upgrade([KIT_MIGRATIONS, MIGRATIONS])
    checkpoints = Checkpoints(database, home, settings, hub)
    events = EventStream(database)
    auth = HubAuth("http://hub/hub/api/", transport=httpx.MockTransport(hub_answers))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        queues = {}
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(events.run())]
            for reconciler in checkpoints.reconcilers():
                queue = queues[reconciler.name] = KeyedQueue()
                running.append(
                    tasks.create_task(run_reconciler(reconciler, queue, workers=4, resync_s=2.0))
                )
            events.listen(lambda event, _: queues[event.kind].add(event.subject))
            yield
            for task in running:
                task.cancel()
        await auth.close()
        database.close()

    app = web.create_app("Atoll", "0", "under test")
    app.router.lifespan_context = lifespan
    app.include_router(routes.router)
    app.state.auth, app.state.checkpoints, app.state.database = auth, checkpoints, database
    return app


def main(home: str, settings: str, place_of_death: str = "") -> None:
    """Serve until killed; the port is in the home's `run/port`."""
    place = Home(Path(home))
    if place_of_death:
        die_at(place_of_death, place.run / "armed")
    app = build(place, CheckpointSettings.model_validate(json.loads(settings)), HubStub())
    with listening() as ear:
        draft = place.run / "port.draft"
        draft.write_text(str(ear.getsockname()[1]))
        draft.replace(place.run / "port")
        server_for(app).run(sockets=[ear])


if __name__ == "__main__":
    main(*sys.argv[1:])
