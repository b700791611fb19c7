"""A real jupyter-server with the extension before a small stand-in of the service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.server.labserver import HUB_TOKEN, Lab, running
from tests.unit.server.upstream import Upstream, serving


@pytest.fixture(scope="session")
def service() -> Iterator[Upstream]:
    with serving() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def lab(service: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    environ = {
        "ATOLL_URL": service.url,
        "JUPYTERHUB_API_TOKEN": HUB_TOKEN,
        "JUPYTERHUB_USER": "ada",
        "JUPYTERHUB_SERVER_NAME": "gpu",
        "JUPYTERHUB_BASE_URL": "/",
    }
    with running(tmp_path_factory.mktemp("lab"), environ) as server:
        yield server


@pytest.fixture
def upstream(service: Upstream) -> Upstream:
    """The service, with nothing remembered of other tests."""
    service.received.clear()
    service.refuse_events = False
    return service
