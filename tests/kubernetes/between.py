"""Stands between the platform and a cluster's API server: slow, throttled, or with a short memory."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import httpx
from aiohttp import web
from atoll.kit.kube.access import Access

_HOP: Final = {"host", "connection", "transfer-encoding", "content-length", "content-encoding"}
_BUSY: Final = {"kind": "Status", "code": 429, "reason": "TooManyRequests", "message": "too many"}


@dataclass(frozen=True)
class Asked:
    """A request that came by."""

    method: str
    path: str
    watch: bool
    at: float


@dataclass
class Between:
    """A relay of requests; reaches the API server as the kubeconfig says, and counts what goes by."""

    kubeconfig: str
    slow_s: float = 0.0  # before each request is passed on
    throttled: bool = False  # each is answered with 429
    forgets: int = 0  # so many watches ask from a revision that it does not know any more
    asked: list[Asked] = field(default_factory=list)
    too_old: int = 0  # watches to which it said so
    made: Counter[str] = field(default_factory=Counter)  # by path, what was created
    port: int = 0

    def __post_init__(self) -> None:
        self._watches: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def write(self, path: Path) -> Path:
        """A kubeconfig that leads here."""
        named = {"cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "clusters": [{"name": "it", **named}],
            "users": [{"name": "it", "user": {}}],
        }
        path.write_text(json.dumps(config))
        return path

    def cut(self) -> None:
        """End the watches that there are."""
        self._loop.call_soon_threadsafe(lambda: [one.cancel() for one in self._watches])

    def since(self, moment: float) -> list[Asked]:
        """What was asked since a moment of the monotonic clock."""
        return [one for one in self.asked if one.at >= moment]

    def busiest(self, moment: float, until: Callable[[Asked], bool] = lambda _: True) -> Any:
        """What was asked most often since then, and how often."""
        found = Counter((one.method, one.path) for one in self.since(moment) if until(one))
        return found.most_common(1)[0] if found else (None, 0)

    def close(self) -> None:
        """Listen no more."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        self._loop.run_until_complete(self._start())
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _start(self) -> None:
        access = Access.find(self.kubeconfig)
        self._far = aiohttp.ClientSession(
            base_url=access.url,
            connector=aiohttp.TCPConnector(ssl=access.tls, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            headers=access.headers(),
        )
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{rest:.*}", self._pass)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._ready.set()

    async def _end(self) -> None:
        ending = list(self._watches)
        for one in ending:
            one.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await self._runner.cleanup()
        await self._far.close()
        await asyncio.sleep(0.2)  # connections with TLS end a moment later

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        watch = request.query.get("watch", "").lower() in ("1", "true")
        self.asked.append(Asked(request.method, request.path, watch, time.monotonic()))
        content = await request.read()
        await asyncio.sleep(self.slow_s)
        if self.throttled:
            return web.json_response(_BUSY, status=429, headers={"Retry-After": "1"})
        query = dict(request.query)
        if watch and self.forgets > 0 and query.get("resourceVersion"):
            query["resourceVersion"] = "1"
            self.forgets -= 1
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        task = asyncio.current_task()
        assert task is not None
        if watch:
            self._watches.add(task)
        try:
            return await self._told(request, query, headers, content)
        finally:
            self._watches.discard(task)

    async def _told(
        self, request: web.Request, query: dict[str, str], headers: dict[str, str], content: bytes
    ) -> web.StreamResponse:
        async with self._far.request(
            request.method, request.path, params=query, headers=headers, data=content or None
        ) as answer:
            if (request.method, answer.status) == ("POST", 201):
                self.made[request.path] += 1
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP}
            encoding = answer.headers.get("Content-Encoding")
            response = web.StreamResponse(status=answer.status, headers=kept)
            if encoding:
                response.headers["Content-Encoding"] = encoding
            await response.prepare(request)
            with suppress(ConnectionError):
                async for piece in answer.content.iter_any():
                    self.too_old += b'"code":410' in piece
                    await response.write(piece)
                await response.write_eof()
            return response


def compact(etcd: str) -> None:
    """Have etcd forget everything but what is there now."""
    with httpx.Client(base_url=etcd, trust_env=False) as http:
        revision = http.post("/v3/maintenance/status", json={}).json()["header"]["revision"]
        wanted = {"revision": revision, "physical": True}
        http.post("/v3/kv/compaction", json=wanted).raise_for_status()
