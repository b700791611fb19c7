"""The service's API: the routes of all capabilities, with nothing behind them yet."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI

import atoll
from atoll.apps import platform_routes
from atoll.checkpoints import cluster_routes, node_routes, registry_pulls
from atoll.checkpoints import routes as checkpoints_routes
from atoll.datasets import routes as datasets_routes
from atoll.jobs import routes as jobs_routes
from atoll.jobs import run_routes
from atoll.kit import web

ROUTERS: Final = [
    platform_routes.router,
    platform_routes.health,
    checkpoints_routes.router,
    node_routes.router,
    registry_pulls.router,
    cluster_routes.router,
    datasets_routes.router,
    jobs_routes.router,
    run_routes.router,
]


def create_api() -> FastAPI:
    """The API; what is behind it is put on its `state` by the service. Describes itself as it is."""
    api = web.create_app(
        "Atoll", atoll.__version__, "Environments, datasets and jobs of a JupyterHub."
    )
    for router in ROUTERS:
        api.include_router(router)
    return api
