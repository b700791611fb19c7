"""Passes calls of the lab on to the service with this server's token, and nothing else of them."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import asdict
from typing import Final

import httpx
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado.iostream import StreamClosedError
from tornado.web import authenticated, stream_request_body

from atoll.kit.errors import AtollError, TooLargeError
from atoll.server.addresses import checked_path, checked_query
from atoll.server.elsewhere import Looks
from atoll.server.platform import API_VERSION, Platform, absent, away

BODY_MOST: Final = 64 * 1024 * 1024
"""Bytes of the largest request: a notebook with its outputs, which people keep below 50 MB."""

_EVENT_ID = re.compile(r"\d{1,18}")
_OWN_SEGMENTS: Final = 2  # `atoll` and `api`, after the server's base URL


@stream_request_body
class PassingHandler(APIHandler):  # type: ignore[misc]  # jupyter_server and tornado are not type-checked here
    """`atoll/api/…` → `…/api/v1/…`. Its calls are no activity: polling must not keep a server."""

    _track_activity = False
    auth_resource = "atoll"

    def initialize(self, platform: Platform, client: httpx.AsyncClient) -> None:
        """Called by tornado for each request."""
        self._platform = platform
        self._client = client
        self._body = bytearray()
        self._too_large = False

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the body. What is over the limit is dropped, and told at its end."""
        self._too_large = self._too_large or len(self._body) + len(chunk) > BODY_MOST
        if self._too_large:
            self._body.clear()
        else:
            self._body += chunk

    @authenticated  # type: ignore[untyped-decorator]  # the same
    @authorized  # type: ignore[untyped-decorator]  # the same
    async def get(self, _path: str = "") -> None:
        """Pass it on."""
        await self._answer()

    head = post = put = patch = delete = get

    async def _answer(self) -> None:
        try:
            await self._pass_on()
        except AtollError as error:
            problem = error.problem()
            self.set_status(problem.status)
            await self.finish(
                problem.model_dump_json(), set_content_type="application/problem+json"
            )
        except StreamClosedError:
            return  # the tab is gone: nobody to answer

    async def _pass_on(self) -> None:
        if not self._platform.present:
            raise absent()
        if self._too_large:
            raise TooLargeError(
                f"This request is larger than {BODY_MOST // 2**20} MiB.",
                hint="Clear the notebook's outputs, then try again.",
            )
        address, content = await self._wanted()
        try:
            async with self._client.stream(
                self.request.method,
                address,
                content=content or None,
                headers=self._passed_headers(),
            ) as answer:
                await self._copy(answer)
        except httpx.HTTPError as error:
            if not self._headers_written:
                raise away() from error
            # Half an answer must not look like a whole one: break the connection off.
            self.log.warning("The platform broke off an answer: %r", error)
            self.request.connection.close()

    async def _wanted(self) -> tuple[str, bytes]:
        """The service's address that is meant, and what is sent there."""
        path = checked_path(self._raw_path())
        query = checked_query(self.request.query)
        return self._platform.address(path) + (f"?{query}" if query else ""), bytes(self._body)

    def _raw_path(self) -> str:
        # Not tornado's own match: that is decoded, and an encoded slash would look like a real one.
        base = [segment for segment in self.base_url.split("/") if segment]
        return "/".join(self.request.path.split("/")[1 + len(base) + _OWN_SEGMENTS :])

    def _passed_headers(self) -> dict[str, str]:
        headers = {"Accept": self.request.headers.get("Accept", "*/*")}
        if self._body:
            headers["Content-Type"] = self.request.headers.get("Content-Type", "application/json")
        last = self.request.headers.get("Last-Event-ID", "")
        if _EVENT_ID.fullmatch(last):
            headers["Last-Event-ID"] = last
        return headers

    async def _copy(self, answer: httpx.Response) -> None:
        content_type = answer.headers.get("Content-Type", "application/octet-stream")
        self.set_status(answer.status_code)
        self.set_header("Content-Type", content_type)
        self.set_header("Cache-Control", "no-store")
        async for chunk in answer.aiter_raw():
            self.write(chunk)
            await self.flush()
        await self.finish(set_content_type=content_type)


class InfoHandler(APIHandler):  # type: ignore[misc]  # jupyter_server and tornado are not type-checked here
    """`atoll/info`: who this server is, so that the lab need not ask the platform."""

    _track_activity = False
    auth_resource = "atoll"

    def initialize(self, platform: Platform) -> None:
        """Called by tornado for each request."""
        self._platform = platform

    @authenticated  # type: ignore[untyped-decorator]  # the same
    @authorized  # type: ignore[untyped-decorator]  # the same
    async def get(self) -> None:
        """The answer, as JSON."""
        await self.finish(
            json.dumps(
                {
                    "present": self._platform.present,
                    "user": self._platform.user,
                    "server": self._platform.server,
                    "hubPrefix": self._platform.hub_prefix,
                    "apiVersion": API_VERSION,
                    "notice": self._platform.notice,
                }
            )
        )


class HomeHandler(APIHandler):  # type: ignore[misc]  # jupyter_server and tornado are not type-checked here
    """`atoll/home`: what lies in the home instead of the environment."""

    _track_activity = False
    auth_resource = "atoll"

    def initialize(self, looks: Looks) -> None:
        """Called by tornado for each request."""
        self._looks = looks

    @authenticated  # type: ignore[untyped-decorator]  # the same
    @authorized  # type: ignore[untyped-decorator]  # the same
    async def get(self) -> None:
        """The answer, as JSON."""
        found = await asyncio.to_thread(self._looks.last)
        await self.finish(json.dumps(asdict(found)))
