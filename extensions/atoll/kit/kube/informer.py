"""Lists that keep themselves true: list once, then watch, and list anew where the watch was lost.

See "Efficient detection of changes" in Kubernetes' API concepts: pages by `continue`, bookmarks so
that a watch can be taken up again, 410 where it can not.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

import aiohttp
import msgspec

from atoll.kit.kube.access import Access
from atoll.kit.kube.objects import KubeObject, Metadata
from atoll.kit.loops import LAST_DELAY_S, back_off

log = logging.getLogger(__name__)

_PAGE: Final = 500  # objects of one answer: 3 MB of pods, so that long lists take little memory
_HEAD: Final = 4096  # bytes, in which an answer says what follows it
_CONTINUE: Final = re.compile(rb'"continue":"([!-~]+?)"')
_WATCH_S: Final = 300  # then the server ends the watch, and another one takes it up
_SILENT_S: Final = 330.0  # a watch without a word for so long is dead
_RELIST_S: Final = 1800.0  # should anything ever have been missed
_LINE_MOST: Final = 8 << 20  # bytes of one object

T = TypeVar("T", bound=KubeObject)

Listener = Callable[[str, T | None, T | None], None]
"""Called in the event loop with "NAMESPACE/NAME", the object before and after: None for none."""


class _TooOldError(Exception):
    """The server has forgotten what came after our version (410)."""


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class Informer(Generic[T]):
    """The objects at `path`, such as `/api/v1/namespaces/x/pods`, as structs of `kind`.

    `run` is one of the service's supervised loops. `snapshot` may be asked from any thread.
    """

    def __init__(self, access: Access, path: str, kind: type[T], *, labels: str = "") -> None:
        self._access = access
        self._path = path
        self._params = {"labelSelector": labels} if labels else {}
        self._objects: dict[str, T] = {}
        self._listeners: list[Listener[T]] = []
        self._synced = asyncio.Event()
        self._version = ""
        self._listed = float("-inf")
        page = msgspec.defstruct("Page", [("metadata", _ListMeta), ("items", list[kind], [])])  # type: ignore[valid-type]
        change = msgspec.defstruct("Change", [("type", str), ("object", msgspec.Raw)])
        self._page = msgspec.json.Decoder(page)
        self._change = msgspec.json.Decoder(change)
        self._one = msgspec.json.Decoder(kind)
        self._meta = msgspec.json.Decoder(KubeObject)

    @property
    def synced(self) -> bool:
        """Whether everything that is there has been seen."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Return once it is synced."""
        await self._synced.wait()

    def snapshot(self) -> Mapping[str, T]:
        """`NAMESPACE/NAME` → object, as it is now; a copy."""
        return dict(self._objects)

    def get(self, namespace: str, name: str) -> T | None:
        """One of them."""
        return self._objects.get(f"{namespace}/{name}")

    def listen(self, listener: Listener[T]) -> None:
        """Have every change told, in the order in which they happened."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Keep the list true, for ever; a server that is away is asked again, later each time."""
        failures = 0
        clock = asyncio.get_running_loop().time
        async with self._session() as session:
            while True:
                began = clock()
                try:
                    if not self._version or began - self._listed > _RELIST_S:
                        await self._list(session)
                        self._listed = clock()
                    await self._watch(session)
                    failures = 0
                except _TooOldError:
                    self._version = ""  # listed anew at once: nothing is wrong
                    failures = 1 if clock() - began > LAST_DELAY_S else failures + 1
                    if failures > 1:  # unless it forgets what it has just said
                        await asyncio.sleep(back_off(failures - 1))
                except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError, OSError) as error:
                    failures = 1 if clock() - began > LAST_DELAY_S else failures + 1
                    delay = back_off(failures)
                    log.warning("%s: %r; again in %.1f s", self._path, error, delay)
                    await asyncio.sleep(delay)

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            base_url=self._access.url,
            connector=aiohttp.TCPConnector(ssl=self._access.tls),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=60.0),
            read_bufsize=_LINE_MOST,
            trust_env=False,
        )

    async def _list(self, session: aiohttp.ClientSession) -> None:
        found: dict[str, T] = {}
        page: Any = None
        async for page in self._pages(session):
            found.update({_key(one.metadata): one for one in page.items})
        before, self._objects = self._objects, found
        self._version = page.metadata.resource_version
        self._synced.set()
        for key in before.keys() | found.keys():
            old, new = before.get(key), found.get(key)
            if old is None or new is None or old.metadata != new.metadata:
                self._tell(key, old, new)

    async def _pages(self, session: aiohttp.ClientSession) -> AsyncIterator[Any]:
        """The pages of the list; each names the next one in its first bytes, and that is asked for then."""
        # resourceVersion is left out: what is listed is the newest, as etcd has it
        params = {**self._params, "limit": str(_PAGE)}
        coming: asyncio.Task[aiohttp.ClientResponse] | None = self._asked(session, params)
        try:
            while coming is not None:
                async with await coming as response:
                    content, token = await _beginning(response)
                    coming = self._following(session, params, token)
                    content += await response.content.read()
                page: Any = self._page.decode(content)
                if coming is None:  # where what is said of the list follows what is in it
                    coming = self._following(session, params, page.metadata.continue_)
                yield page
        finally:
            if coming is not None:
                coming.cancel()
                coming.add_done_callback(_dropped)

    def _following(
        self, session: aiohttp.ClientSession, params: Mapping[str, str], token: str
    ) -> asyncio.Task[aiohttp.ClientResponse] | None:
        return self._asked(session, {**params, "continue": token}) if token else None

    def _asked(
        self, session: aiohttp.ClientSession, params: Mapping[str, str]
    ) -> asyncio.Task[aiohttp.ClientResponse]:
        async def answer() -> aiohttp.ClientResponse:
            return await session.get(self._path, params=params, headers=self._access.headers())

        return asyncio.create_task(answer())

    async def _watch(self, session: aiohttp.ClientSession) -> None:
        params = {
            **self._params,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(_WATCH_S),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=_SILENT_S)
        async with session.get(
            self._path, params=params, headers=self._access.headers(), timeout=timeout
        ) as response:
            if response.status != 200:
                await _content(response)
            async for line in response.content:
                self._take(line)

    def _take(self, line: bytes) -> None:
        change: Any = self._change.decode(line)
        match change.type:
            case "ADDED" | "MODIFIED":
                new = self._one.decode(change.object)
                key = _key(new.metadata)
                old = self._objects.get(key)
                self._objects[key] = new
                self._version = new.metadata.resource_version
                self._tell(key, old, new)
            case "DELETED":
                gone = self._meta.decode(change.object).metadata
                self._version = gone.resource_version
                old = self._objects.pop(_key(gone), None)
                self._tell(_key(gone), old, None)
            case "BOOKMARK":
                self._version = self._meta.decode(change.object).metadata.resource_version
            case _:  # ERROR, most often 410: the list begins anew
                raise _TooOldError

    def _tell(self, key: str, old: T | None, new: T | None) -> None:
        for listener in self._listeners:
            listener(key, old, new)


def _key(metadata: Metadata) -> str:
    return f"{metadata.namespace}/{metadata.name}"


async def _beginning(response: aiohttp.ClientResponse) -> tuple[bytearray, str]:
    """What an answer begins with, and the `continue` in it; empty where none is said there."""
    if response.status != 200:
        await _content(response)
    content = bytearray()
    while len(content) < _HEAD and (more := await response.content.readany()):
        content += more
    head, items, _ = content[:_HEAD].partition(b'"items"')
    found = _CONTINUE.search(head) if items else None
    return content, found[1].decode("ascii") if found else ""


def _dropped(answer: asyncio.Task[aiohttp.ClientResponse]) -> None:
    if not answer.cancelled() and answer.exception() is None:
        answer.result().close()


async def _content(response: aiohttp.ClientResponse) -> bytes:
    if response.status == 410:
        raise _TooOldError
    content = await response.read()
    if response.status != 200:
        with suppress(msgspec.DecodeError, AttributeError):
            content = msgspec.json.decode(content).get("message", "").encode() or content
        raise aiohttp.ClientResponseError(
            response.request_info,
            response.history,
            status=response.status,
            message=content[:300].decode("utf-8", "replace"),
        )
    return content
