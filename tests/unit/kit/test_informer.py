"""A list that keeps itself true, whatever happens to the watch."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from atoll.kit.kube.access import Access
from atoll.kit.kube.informer import Informer
from atoll.kit.kube.objects import Pod

PATH = "/api/v1/namespaces/x/pods"
NO_TLS = ssl.create_default_context()


def pod(name: str, version: int, phase: str = "Running") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "x", "resourceVersion": str(version)},
        "status": {"phase": phase},
        "spec": {"nodeName": "n", "unknown": [1, {"a": None}]},
    }


@dataclass
class ApiServer:
    """As much of an API server as lists and watches need."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    version: int = 1
    log: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    oldest: int = 0  # what came before is compacted
    refuse: int = 0  # so many requests are answered with 500
    asked: list[dict[str, str]] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    watches: set[web.StreamResponse] = field(default_factory=set)
    paused: Callable[[str], Awaitable[object]] | None = None
    spaces: str = " " * 5000  # more than is looked through for what follows
    runner: web.AppRunner | None = None
    url: str = ""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get(PATH, self.answer)
        self.runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]

    async def put(self, name: str, phase: str = "Running", kind: str | None = None) -> None:
        self.version += 1
        object_ = pod(name, self.version, phase)
        kind = kind or ("MODIFIED" if name in self.objects else "ADDED")
        if kind == "DELETED":
            self.objects.pop(name, None)
        else:
            self.objects[name] = object_
        async with self.changed:
            self.log.append((self.version, kind, object_))
            self.changed.notify_all()

    async def bookmark(self) -> None:
        self.version += 5
        async with self.changed:
            self.log.append((self.version, "BOOKMARK", pod("", self.version)))
            self.changed.notify_all()

    def cut(self) -> None:
        """Every watch breaks."""
        for watch in self.watches:
            transport = watch._req.transport if watch._req is not None else None
            if transport is not None:
                transport.abort()
        self.watches.clear()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        if self.refuse > 0:
            self.refuse -= 1
            return web.json_response({"message": "etcd is away"}, status=500)
        if "watch" in request.query:
            return await self.watch(request)
        names = sorted(self.objects)
        begin = int(request.query.get("continue", "0"))
        most = 2  # pages are small here, whatever is asked for
        more = str(begin + most) if begin + most < len(names) else ""
        metadata = {"resourceVersion": str(self.version), "continue": more}
        items = [self.objects[name] for name in names[begin : begin + most]]
        if self.paused is not None:
            return await self.in_two_parts(request, metadata, items)
        return web.json_response({"items": items, "metadata": metadata})

    async def in_two_parts(
        self, request: web.Request, metadata: dict[str, str], items: list[dict[str, Any]]
    ) -> web.StreamResponse:
        """As an API server writes it; what is listed follows once `paused` lets it."""
        assert self.paused is not None
        response = web.StreamResponse()
        await response.prepare(request)
        told = json.dumps({"kind": "PodList", "metadata": metadata}, separators=(",", ":"))
        await response.write(f'{told[:-1]},"items":{self.spaces}'.encode())
        await self.paused(request.query.get("continue", "0"))
        await response.write(json.dumps(items).encode() + b"}")
        return response

    async def watch(self, request: web.Request) -> web.StreamResponse:
        seen = int(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        if seen < self.oldest:
            gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410}}
            await response.write(json.dumps(gone).encode() + b"\n")
            return response
        self.watches.add(response)
        with suppress(ConnectionError):
            while True:
                for version, kind, object_ in [one for one in self.log if one[0] > seen]:
                    line = json.dumps({"type": kind, "object": object_}).encode()
                    await response.write(line[:30])
                    await response.write(line[30:] + b"\n")
                    seen = version
                async with self.changed:
                    await self.changed.wait()
        return response

    @property
    def lists(self) -> int:
        return sum("watch" not in query and "continue" not in query for query in self.asked)


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    await server.start()
    yield server
    server.cut()
    assert server.runner is not None
    await server.runner.cleanup()


@pytest.fixture
async def informer(server: ApiServer) -> AsyncIterator[Informer[Pod]]:
    made = Informer(Access(server.url, NO_TLS), PATH, Pod, labels="a=b")
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def eventually(look: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not look():  # noqa: ASYNC110  # what is looked at has no event
            await asyncio.sleep(0.01)


def phases(informer: Informer[Pod]) -> dict[str, str]:
    return {key: one.status.phase for key, one in informer.snapshot().items()}


async def test_it_lists_page_by_page_and_then_follows(
    server: ApiServer, informer: Informer[Pod]
) -> None:
    for name in "abcde":
        await server.put(name)
    await informer.wait_synced()
    await eventually(lambda: len(informer.snapshot()) == 5)
    told: list[tuple[str, str | None, str | None]] = []
    informer.listen(
        lambda key, old, new: told.append(
            (key, old.status.phase if old else None, new.status.phase if new else None)
        )
    )
    await server.put("a", "Failed")
    await server.put("f")
    await server.put("b", kind="DELETED")
    await eventually(lambda: len(told) == 3)
    assert told == [
        ("x/a", "Running", "Failed"),
        ("x/f", None, "Running"),
        ("x/b", "Running", None),
    ]
    assert phases(informer) == {
        "x/a": "Failed",
        "x/c": "Running",
        "x/d": "Running",
        "x/e": "Running",
        "x/f": "Running",
    }
    assert all(query["labelSelector"] == "a=b" for query in server.asked)


async def test_the_next_page_is_made_while_the_one_before_is_still_on_its_way(
    server: ApiServer, informer: Informer[Pod]
) -> None:
    begun = {token: asyncio.Event() for token in ("0", "2", "4")}

    async def paused(token: str) -> None:
        begun[token].set()
        following = begun.get(str(int(token) + 2))
        if following is not None:
            await following.wait()  # for ever, if it is asked for only after this one

    server.paused = paused
    for name in "abcde":
        await server.put(name)
    await informer.wait_synced()
    assert set(informer.snapshot()) == {f"x/{name}" for name in "abcde"}


async def test_a_page_that_breaks_off_is_no_list(
    server: ApiServer, informer: Informer[Pod]
) -> None:
    broken: list[str] = []

    async def paused(token: str) -> None:
        if token == "2" and not broken:
            broken.append(token)
            raise ConnectionResetError

    server.paused = paused
    for name in "abcde":
        await server.put(name)
    await informer.wait_synced()
    assert broken
    assert server.lists == 2
    assert set(informer.snapshot()) == {f"x/{name}" for name in "abcde"}


async def test_what_an_object_says_is_not_what_follows_the_list(
    server: ApiServer, informer: Informer[Pod]
) -> None:
    server.paused = lambda _: asyncio.sleep(0)
    server.spaces = ""
    await server.put("a")
    server.objects["a"]["metadata"]["annotations"] = {"continue": "2", "more": '"continue":"2"'}
    await informer.wait_synced()
    assert not any("continue" in query for query in server.asked)


async def test_a_watch_that_breaks_goes_on_where_it_was(
    server: ApiServer, informer: Informer[Pod]
) -> None:
    await server.put("a")
    await informer.wait_synced()
    await eventually(lambda: server.watches)
    await server.bookmark()
    await eventually(lambda: informer._version == str(server.version))
    server.cut()
    await server.put("b")
    await eventually(lambda: "x/b" in informer.snapshot())
    assert server.lists == 1


async def test_what_was_compacted_meanwhile_is_listed_anew_and_told(
    server: ApiServer, informer: Informer[Pod]
) -> None:
    await server.put("a")
    await server.put("gone")
    await informer.wait_synced()
    await eventually(lambda: server.watches and len(informer.snapshot()) == 2)
    told: set[str] = set()
    informer.listen(lambda key, _, __: told.add(key))
    server.log.clear()
    server.objects.pop("gone")
    server.version += 100
    server.objects["new"] = pod("new", server.version)
    server.oldest = server.version
    server.cut()
    await eventually(lambda: set(informer.snapshot()) == {"x/a", "x/new"})
    assert told == {"x/gone", "x/new"}
    assert server.lists == 2


async def test_a_server_that_forgets_what_it_has_just_said_is_not_asked_without_pause(
    server: ApiServer, informer: Informer[Pod]
) -> None:
    server.oldest = 1 << 40
    await server.put("a")
    await informer.wait_synced()
    await asyncio.sleep(2.0)
    assert server.lists <= 4
    server.oldest = 0
    await server.put("b")
    await eventually(lambda: "x/b" in informer.snapshot())


async def test_a_server_that_is_away_is_asked_again(
    server: ApiServer, informer: Informer[Pod]
) -> None:
    server.refuse = 2
    await server.put("a")
    await informer.wait_synced()
    await eventually(lambda: phases(informer) == {"x/a": "Running"})
    assert server.refuse == 0
