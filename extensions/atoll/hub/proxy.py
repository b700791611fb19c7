"""The proxy of a cluster: one that was started anew is told its routes again, within seconds.

configurable-http-proxy keeps routes in its memory alone. JupyterHub compares all of them every five minutes,
and so long nobody would reach anything. On one machine the supervisor has the hub tell them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import ClientResponseError
from jupyterhub.proxy import ConfigurableHTTPProxy

_LOOK_S: Final = 2.0
_ANSWER_S: Final = 10.0
_NOT_FOUND: Final = 404


class RemindedProxy(ConfigurableHTTPProxy):  # type: ignore[misc]  # JupyterHub has no types
    """Asks for one route, which is always there; where it is not, all are gone."""

    _looking: asyncio.Task[None] | None = None

    async def check_routes(
        self, user_dict: Any, service_dict: Mapping[str, Any], routes: Any = None
    ) -> None:
        """Compare all routes, as the hub does at its start; from then on look after them."""
        await super().check_routes(user_dict, service_dict, routes)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_after(user_dict, service_dict))

    async def _look_after(self, users: Any, services: Mapping[str, Any]) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                if not await self._known(services):
                    self.log.warning("The proxy was started anew: it is told its routes again.")
                    await self.check_routes(users, services)
            except Exception as error:  # noqa: BLE001  # whatever it is: the next look may succeed
                self.log.warning("The proxy's routes cannot be looked at: %r", error)

    async def _known(self, services: Mapping[str, Any]) -> bool:
        """Whether the proxy knows the way to our service."""
        routed = (one.proxy_spec for one in services.values() if one.server is not None)
        if (route := next(routed, None)) is None:
            return True
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self.api_request(self._routespec_to_chp_path(route))
        except ClientResponseError as error:
            if error.status != _NOT_FOUND:
                raise
            return False
        return True
