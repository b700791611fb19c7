"""A socket for a service under test."""

from __future__ import annotations

import socket


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
