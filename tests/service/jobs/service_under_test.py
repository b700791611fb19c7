"""Jobs and checkpoints behind HTTP, as a process or a thread, as the service puts them together."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from atoll.apps.shares import shares_of
from atoll.checkpoints import routes as checkpoint_routes
from atoll.checkpoints import service as checkpoint_service
from atoll.checkpoints.service import Checkpoints
from atoll.checkpoints.settings import CheckpointSettings
from atoll.hub.storage import Share, StorageSection
from atoll.jobs import routes, run_routes, service
from atoll.jobs.kept import KeptJobs
from atoll.jobs.runners.choice import runner_of
from atoll.jobs.service import Jobs
from atoll.jobs.settings import JobSettings
from atoll.kit import db, web
from atoll.kit.db import Database
from atoll.kit.errors import UnavailableError
from atoll.kit.events import EventStream
from atoll.kit.home import Home
from atoll.kit.hub import HubAuth
from atoll.kit.kube.settings import KubernetesSection
from atoll.kit.loops import KeyedQueue, run_reconciler, supervise
from fastapi import FastAPI

from tests.databases import url_of as database_url_of
from tests.dying import die_at
from tests.listening import listening, server_for

KIT_MIGRATIONS = Path(db.__file__).parent / "migrations" / "versions"
MIGRATIONS = [KIT_MIGRATIONS, checkpoint_service.MIGRATIONS, service.MIGRATIONS]

SHARED = StorageSection(
    shares={
        "models": Share(claim="a", groups=["modelers"], jobs_claim="models"),
        "of-servers": Share(claim="b"),
    }
)
"""What groups share, and what of it jobs have."""

USERS: dict[str, dict[str, Any]] = {
    "hub": {"kind": "service", "name": "atoll-hub", "scopes": ["custom:atoll:hub"]},
    "ada": {
        "kind": "user",
        "name": "ada",
        "groups": ["modelers"],
        "scopes": ["custom:atoll:use!user=ada"],
    },
    "bob": {"kind": "user", "name": "bob", "scopes": ["custom:atoll:use!user=bob"]},
    "ada-server": {"kind": "user", "name": "ada", "scopes": ["custom:atoll:use!server=ada/"]},
    "ada-gpu": {
        "kind": "user",
        "name": "ada",
        "groups": ["modelers"],
        "scopes": ["custom:atoll:use!server=ada/gpu"],
    },
    "noscope": {"kind": "user", "name": "eve", "scopes": ["read:users!user=eve"]},
    "admin": {"kind": "user", "name": "root", "scopes": ["custom:atoll:use", "custom:atoll:admin"]},
}
"""Tokens that the hub knows."""


def hub_answers(request: httpx.Request) -> httpx.Response:
    """JupyterHub's `GET /hub/api/user`."""
    found = USERS.get(request.headers["Authorization"].removeprefix("token "))
    return httpx.Response(200, json=found) if found else httpx.Response(403, json={})


class HubStub:
    """The hub's other side."""

    away = False

    def stop_server(self, user: str, server: str) -> None:
        """Nothing to do."""

    def running(self) -> set[tuple[str, str]]:
        """None."""
        return set()

    def groups(self, user: str) -> frozenset[str] | None:
        """Those of the users whose tokens the hub knows."""
        if self.away:
            raise UnavailableError("The hub does not answer.")
        found = next((one for one in USERS.values() if one["name"] == user), None)
        return None if found is None else frozenset(found.get("groups", ()))


def build(home: Home, settings: JobSettings, url: str) -> FastAPI:
    """The app with its reconcilers, woken by events, as the service has it.

    Where jobs are pods, the home has the kubeconfig of their cluster.
    """
    home.create()
    database = Database(database_url_of(home))
    database.upgrade(MIGRATIONS)
    quick = CheckpointSettings(watch_every_s=0.1, scan_every_s=0.2, end_grace_s=1)
    hub = HubStub()
    checkpoints = Checkpoints(database, home, quick, hub)
    environments = checkpoints.environments
    cluster = KubernetesSection(
        kubeconfig=str(home.path / "kubeconfig"),
        service_url=url,
        jobs_namespace=os.environ.get("TEST_NAMESPACE", "atoll-jobs"),
    )
    runner = runner_of(
        settings,
        cluster,
        database=database,
        home=home,
        environments=environments,
        shares=shares_of(SHARED, hub),
    )
    jobs = Jobs(database, home, settings, environments, hub, service_url=url, runner=runner)
    checkpoints.rebasing.jobs = KeptJobs(jobs)
    events = EventStream(database)
    auth = HubAuth(
        "http://hub/hub/api/",
        issued=jobs.identify,
        transport=httpx.MockTransport(hub_answers),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        queues = {}
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(events.run())]
            for reconciler in (*checkpoints.reconcilers(), *jobs.reconcilers()):
                queue = queues[reconciler.name] = KeyedQueue()
                running.append(
                    tasks.create_task(run_reconciler(reconciler, queue, workers=4, resync_s=5.0))
                )
            events.listen(lambda event, _: queues[event.kind].add(event.subject))
            for name, loop in jobs.watch(queues["job"].add).items():
                running.append(tasks.create_task(supervise(name, loop)))
            yield
            for task in running:
                task.cancel()
        await auth.close()
        jobs.close()
        database.close()

    app = web.create_app("Atoll", "0", "under test")
    app.router.lifespan_context = lifespan
    app.include_router(routes.router)
    app.include_router(run_routes.router)
    app.include_router(checkpoint_routes.router)
    app.state.auth, app.state.checkpoints, app.state.jobs = auth, checkpoints, jobs
    app.state.database = database
    return app


def url_of(ear: socket.socket) -> str:
    """The service's URL at a socket."""
    host, port = ear.getsockname()
    return f"http://{host}:{port}/"


def main(home: str, settings: str, deadly: str = "") -> None:
    """Serve until killed; the port is in the home's `run/port`, and the same after a restart."""
    if deadly:
        die_at(deadly)
    place = Home(Path(home))
    known = place.run / "known-port"
    port = int(known.read_text()) if known.exists() else 0
    with listening(port, os.environ.get("TEST_HOST", "127.0.0.1")) as ear:
        app = build(place, JobSettings.model_validate(json.loads(settings)), url_of(ear))
        for name in ("known-port", "port"):
            draft = place.run / f"{name}.draft"
            draft.write_text(str(ear.getsockname()[1]))
            draft.replace(place.run / name)
        server_for(app).run(sockets=[ear])


if __name__ == "__main__":
    main(*sys.argv[1:])
