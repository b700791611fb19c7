"""A proxy that was started anew is told its routes again, as long as the hub runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from atoll.hub import proxy as module
from atoll.hub.proxy import RemindedProxy

from tests.platform.driver import eventually

HUB = SimpleNamespace(routespec="/", host="http://hub.example:8081")
SERVICE = SimpleNamespace(
    name="atoll",
    server=SimpleNamespace(host="http://service.example:8010"),
    proxy_spec="/services/atoll/",
    domain="",
)


class Standing:
    """configurable-http-proxy's own API: routes are in memory."""

    def __init__(self) -> None:
        self.routes: dict[str, Any] = {}
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen, knowing nothing."""
        self.routes.clear()
        app = web.Application()
        app.router.add_get("/api/routes", self._all)
        app.router.add_get("/api/routes/", self._all)
        app.router.add_get("/api/routes/{path:.+}", self._one)
        app.router.add_post("/api/routes/{path:.*}", self._add)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def end(self) -> None:
        """Be gone."""
        assert self._runner is not None
        await self._runner.cleanup()

    async def _all(self, _: web.Request) -> web.Response:
        return web.json_response(self.routes)

    async def _one(self, request: web.Request) -> web.Response:
        found = self.routes.get("/" + request.match_info["path"])
        return web.json_response(found, status=200 if found else 404)

    async def _add(self, request: web.Request) -> web.Response:
        self.routes["/" + request.match_info["path"]] = await request.json()
        return web.Response(status=201)


@pytest.fixture
async def standing() -> AsyncIterator[Standing]:
    found = Standing()
    await found.start()
    yield found
    await found.end()


@pytest.fixture
async def proxy(
    standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RemindedProxy]:
    monkeypatch.setattr(module, "_LOOK_S", 0.02)
    monkeypatch.setattr(module, "_ANSWER_S", 0.5)
    found = RemindedProxy(
        app=SimpleNamespace(hub=HUB), hub=HUB, auth_token="t", should_start=False,
        api_url=f"http://127.0.0.1:{standing.port}",
    )  # fmt: skip
    yield found
    if found._looking is not None:
        found._looking.cancel()


async def all_known(standing: Standing) -> None:
    """Wait until the proxy knows the hub and the service."""
    known = {"/", "/services/atoll"}
    await asyncio.to_thread(eventually, lambda: set(standing.routes), lambda it: it == known, 10)


async def test_it_is_told_again_whenever_it_was_started_anew(
    proxy: RemindedProxy, standing: Standing
) -> None:
    await proxy.check_routes({}, {"atoll": SERVICE})
    await all_known(standing)
    for _ in range(2):
        standing.routes.clear()
        await all_known(standing)


async def test_it_is_told_again_after_it_was_away_for_longer_than_an_answer_takes(
    proxy: RemindedProxy, standing: Standing
) -> None:
    await proxy.check_routes({}, {"atoll": SERVICE})
    await standing.end()
    await asyncio.sleep(1.2)
    await standing.start()
    await all_known(standing)


async def test_one_that_knows_its_routes_is_asked_for_one_of_them_alone(
    proxy: RemindedProxy, standing: Standing
) -> None:
    await proxy.check_routes({}, {"atoll": SERVICE})
    standing.routes["/user/ada"] = {"target": "http://x", "jupyterhub": True}
    await asyncio.sleep(0.2)
    assert "/user/ada" in standing.routes  # comparing all would have had it removed
