"""A way to the API server that can be cut, as when it is replaced: a relay on this host."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Cut:
    """A way to the API server that can be cut, as when it is replaced."""

    def __init__(self, host: str, port: int, at: str = "127.0.0.1") -> None:
        """It listens at the address `at`, which the server's certificate has to be for."""
        self._target = (host, port)
        self._ear = socket.create_server((at, 0))
        self.port = self._ear.getsockname()[1]
        self._open: set[socket.socket] = set()
        self.cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def sever(self) -> None:
        """End all connections, and take no other one."""
        self.cut = True
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def heal(self) -> None:
        """Let connections through again."""
        self.cut = False

    def close(self) -> None:
        """Stop listening."""
        self.sever()
        self._ear.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._ear.accept()
            except OSError:
                return
            if self.cut:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._open |= {near, far}
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while chunk := source.recv(65536):
                target.sendall(chunk)
        except OSError:
            pass
        finally:
            for one in (source, target):
                self._open.discard(one)
                one.close()
