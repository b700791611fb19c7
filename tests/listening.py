"""A socket for a service under test, and a server behind it."""

from __future__ import annotations

import socket
from typing import Any

import uvicorn
from atoll.kit.web import KEPT_S
from starlette.types import ASGIApp


def listening(port: int = 0, host: str = "127.0.0.1") -> socket.socket:
    """A socket on a free port, or on this one.

    It says that it is TCP: asyncio sends small answers at once on such sockets alone, and late by
    40 ms on others.
    """
    ear = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    ear.bind((host, port))
    ear.listen()
    return ear


def server_for(app: ASGIApp, **options: Any) -> uvicorn.Server:
    """A server for the app, which keeps connections as the platform's does; `run` gets its sockets."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, timeout_keep_alive=KEPT_S, **options
    )
    return uvicorn.Server(config)
