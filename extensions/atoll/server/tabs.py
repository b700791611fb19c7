"""A lab tab's WebSocket: says whether the platform is there, and what changed."""

from __future__ import annotations

from collections.abc import Callable

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from atoll.server.feed import Feed


class EventsSocket(WebSocketMixin, WebSocketHandler, JupyterHandler):  # type: ignore[misc]  # untyped
    """`atoll/events`: sends only; what a tab says is not listened to. No activity."""

    auth_resource = "atoll"

    def initialize(self, feed: Feed) -> None:
        """Called by tornado for each connection."""
        self._feed = feed
        self._leave: Callable[[], None] | None = None

    def set_default_headers(self) -> None:
        """None: the ones of pages make no sense for a WebSocket."""

    def get_compression_options(self) -> None:
        """No compression: messages are short."""

    @ws_authenticated  # type: ignore[untyped-decorator]  # untyped
    async def get(self) -> None:
        """Open the socket for who is logged in; tornado checks the origin."""
        if not await ensure_async(
            self.authorizer.is_authorized(self, self.current_user, "read", self.auth_resource)
        ):
            raise HTTPError(403)
        await super().get()

    def open(self) -> None:  # type: ignore[override, unused-ignore]
        """Begin to listen for this tab."""
        super().open()
        self._leave = self._feed.join(self._send)

    def on_message(self, message: str | bytes) -> None:
        """Nothing: there is nothing to say to the platform here."""

    def on_close(self) -> None:
        """Stop listening for this tab."""
        if self._leave is not None:
            self._leave()
        super().on_close()

    def _send(self, text: str) -> None:
        try:
            self.write_message(text)
        except WebSocketClosedError:
            self.log.debug("an event came after its tab had gone")
