"""The service process: the capabilities, put together and served under the hub's prefix."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount

from atoll.apps.api import create_api
from atoll.apps.clusters import place_of
from atoll.apps.running import Loops
from atoll.apps.settings import ServiceSettings
from atoll.apps.shares import shares_of
from atoll.checkpoints import agents, registry_pulls, targets
from atoll.checkpoints import service as checkpoints
from atoll.datasets import service as datasets
from atoll.jobs import service as jobs
from atoll.jobs.kept import KeptJobs
from atoll.jobs.runners.choice import runner_of
from atoll.kit import db, logs, settings, web
from atoll.kit.events import EventStream
from atoll.kit.home import Home
from atoll.kit.hub import HubAuth
from atoll.kit.hub_api import HubApi

PREFIX: Final = "/services/atoll"
MIGRATIONS: Final = [
    Path(db.__file__).parent / "migrations" / "versions",
    checkpoints.MIGRATIONS,
    datasets.MIGRATIONS,
    jobs.MIGRATIONS,
]


def build(home: Home, config: ServiceSettings) -> Starlette:
    """The service over its database, which is brought to the newest schema first."""
    database = db.Database(config.service.database or f"sqlite:///{home.service / 'atoll.sqlite'}")
    database.upgrade(MIGRATIONS)
    hub = HubApi(config.service.hub_api_url, home.secret("service-token"))

    place = place_of(config)
    state = (api := create_api()).state
    state.home, state.database, state.events = home, database, EventStream(database)
    state.checkpoints = checkpoints.Checkpoints(
        database,
        home,
        config.checkpoints,
        hub,
        nodes=config.nodes,
        targets=targets.targets(home, config.registry),
        containers=place.containers,
    )
    state.agents = agents.authenticator(home, config.nodes)
    state.pulls = registry_pulls.pulls(home, config.registry)
    environments, url = state.checkpoints.environments, config.service.url
    runner = runner_of(
        config.jobs,
        config.kubernetes,
        database=database,
        home=home,
        environments=environments,
        shares=shares_of(config.hub.storage, hub),
    )
    state.jobs = jobs.Jobs(
        database, home, config.jobs, environments, hub, service_url=url, runner=runner
    )
    state.checkpoints.rebasing.jobs = KeptJobs(state.jobs)
    state.datasets = datasets.Datasets(database, home, config.datasets, state.jobs)
    state.auth = HubAuth(config.service.hub_api_url, issued=state.jobs.identify)
    capabilities = (state.checkpoints, state.jobs, state.datasets)
    reconcilers = [one for capability in capabilities for one in capability.reconcilers()]
    reconcilers += place.watch(state.checkpoints)
    state.orphans = place.orphans(hub)
    at_start = [state.datasets.seed]
    beside = {**place.loops, **state.jobs.watch(lambda id_: loops.wake("job", id_))}
    loops: Loops = Loops(state.events, reconcilers, at_start, beside=beside)
    place.wake(loops, state.events)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with loops.running():
            yield
        await state.auth.close()
        await state.agents.close()
        hub.close()
        place.close()
        state.jobs.close()
        database.close()

    return Starlette(
        routes=[Mount(PREFIX, api), Mount("/", api)],
        lifespan=lifespan,
        exception_handlers={HTTPException: web.on_http_error},  # paths that no mount matches
    )


def main() -> None:
    """Serve until told to end."""
    home = Home.find()
    config = settings.load(ServiceSettings, home.settings)
    logs.set_up(getattr(logging, config.service.log_level.upper()))
    home.create()
    uvicorn.run(
        build(home, config),
        host=config.service.host,
        port=config.service.port,
        log_config=None,
        access_log=False,
        timeout_keep_alive=web.KEPT_S,
        timeout_graceful_shutdown=3,  # event streams never end by themselves
    )


if __name__ == "__main__":
    main()
