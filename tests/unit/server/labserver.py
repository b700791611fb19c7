"""A real jupyter-server with the extension, as a process."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

TOKEN = "a-token-of-this-test"
HUB_TOKEN = "hub-token-of-the-server"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        return json.loads(self.body)


@dataclass
class Lab:
    """A running jupyter-server at `/user/atoll/api/` — a name that must confuse nobody."""

    port: int
    base: str
    root: Path  # where its files are

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | Iterator[bytes] | None = None,
        token: str | None = TOKEN,
        **headers: str,
    ) -> Answer:
        """Send the path exactly as it is written: no client may tidy it up first."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"token {token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, self.base + path, body=body, headers=sent)
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers.items()), response.read())
        finally:
            connection.close()

    def login(self) -> dict[str, str]:
        """The cookies of a browser that opened the login page and logged in."""
        cookies: dict[str, str] = {}
        for page in ("login", f"login?token={TOKEN}"):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            sent = {"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())}
            connection.request("GET", self.base + page, headers=sent)
            response = connection.getresponse()
            response.read()
            for cookie in response.headers.get_all("Set-Cookie") or []:
                name, _, value = cookie.split(";")[0].partition("=")
                cookies[name] = value
            connection.close()
        return cookies


@contextmanager
def running(tmp: Path, environ: dict[str, str]) -> Iterator[Lab]:
    runtime = tmp / "runtime"
    with (tmp / "server.log").open("wb") as log:
        process = started(tmp, runtime, log, environ)
    try:
        info = runtime / f"jpserver-{process.pid}.json"
        deadline = time.monotonic() + 60
        while not listening(info):  # the file is written before the server listens
            assert process.poll() is None, (tmp / "server.log").read_text()
            assert time.monotonic() < deadline, (tmp / "server.log").read_text()
            time.sleep(0.05)
        port = json.loads(info.read_text())["port"]
        yield Lab(port, "/user/atoll/api/", tmp)
    finally:
        process.terminate()
        process.wait(20)


def listening(info: Path) -> bool:
    """The server that wrote this file answers."""
    if not info.exists():
        return False
    try:
        address = ("127.0.0.1", json.loads(info.read_text())["port"])
        socket.create_connection(address, timeout=5).close()
    except (ConnectionRefusedError, json.JSONDecodeError):
        return False
    return True


def started(
    tmp: Path, runtime: Path, log: IO[bytes], environ: dict[str, str]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable, "-m", "jupyter_server", "--allow-root", "--no-browser",
            "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", "--ServerApp.port_retries=0",
            "--ServerApp.base_url=/user/atoll/api/", f"--ServerApp.root_dir={tmp}",
            f"--IdentityProvider.token={TOKEN}",
            "--ServerApp.jpserver_extensions={'atoll.server': True}",
        ],
        env={
            "PATH": os.environ["PATH"], "HOME": str(tmp), "JUPYTER_NO_CONFIG": "1",
            "JUPYTER_RUNTIME_DIR": str(runtime), "JUPYTER_CONFIG_DIR": str(tmp / "config"),
            # A proxy nobody listens on: the token must never be sent to it.
            "HTTP_PROXY": "http://127.0.0.1:9", **environ,
        },
        stdout=subprocess.DEVNULL,
        stderr=log,
    )  # fmt: skip
