"""Drives a running platform over HTTP as its users do: log in, start and stop servers, make tokens."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
from atoll.apps import addresses, platform_state
from atoll.checkpoints import client
from atoll.checkpoints.models import Server, ServerStatus
from atoll.kit.home import Home
from atoll.kit.http import Connection

from hub_config.auth_secrets import admin_password, user_password

T = TypeVar("T")

START_S = 90.0
"""How long a server may take on a loaded test machine."""


def eventually(look: Callable[[], T], until: Callable[[T], bool], within_s: float = 60.0) -> T:
    """What `look` gives as soon as it is as wanted."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if until(found):
            return found
        assert time.monotonic() < deadline, f"still {found!r}"
        time.sleep(0.05)


@dataclass
class Platform:
    """A running platform: its home and its address."""

    home: Home
    browsers: list[httpx.Client] = field(default_factory=list)

    @property
    def status(self) -> platform_state.PlatformStatus:
        """How it stands, as its supervisor says."""
        return platform_state.read(self.home)

    @property
    def url(self) -> str:
        """What people open; ends with a slash."""
        return self.status.url

    @property
    def service(self) -> str:
        """The API's address through the proxy."""
        return f"{self.url}services/atoll/api/v1/"

    def pid(self, part: str) -> int:
        """The process of a part: proxy, hub, service, or supervisor."""
        status = self.status
        if part == "supervisor":
            assert status.supervisor is not None
            return status.supervisor.pid
        found = self.part(part)
        assert found is not None, f"{part} has no process"
        return found

    def part(self, name: str) -> int | None:
        """The process of proxy, hub or service; None while it is started again."""
        process = next(one.process for one in self.status.parts if one.name == name)
        return process.pid if process is not None else None

    def user(self, name: str, *, admin: bool = False) -> User:
        """Somebody who has just logged in with the password."""
        password = admin_password(self.home) if admin else user_password(self.home)
        user = User(self, name)
        answer = user.log_in(password)
        assert answer.is_redirect, answer.text
        return user


@dataclass
class User:
    """A person with a browser session."""

    platform: Platform
    name: str
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.platform.url, timeout=30.0, trust_env=False)
        self.platform.browsers.append(self.http)

    def log_in(self, password: str) -> httpx.Response:
        """Submit the login form; a redirect is success."""
        self.http.get("hub/login")
        form = {"username": self.name, "password": password, "_xsrf": self.http.cookies["_xsrf"]}
        return self.http.post("hub/login", data=form)

    def token(self, *scopes: str) -> str:
        """A new API token, with all of the user's scopes where none are named."""
        body: dict[str, Any] = {"note": "test"}
        if scopes:
            body["scopes"] = list(scopes)
        answer = self.api("POST", f"users/{self.name}/tokens", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    def api(self, method: str, path: str, **given: Any) -> httpx.Response:
        """A call to the hub's API in the browser's session."""
        headers = {"X-XSRFToken": self.xsrf()}
        return self.http.request(method, f"hub/api/{path}", headers=headers, **given)

    def connection(self) -> Connection:
        """A connection to the service with a token of this user."""
        return Connection(self.platform.service, self.token())

    def start(self, server: str = "", **options: str) -> None:
        """Start a server and wait until it is ready; the error says what the hub said."""
        path = f"users/{self.name}/servers/{server}" if server else f"users/{self.name}/server"
        answer = self.api("POST", path, json={"user_options": options} if options else {})
        assert answer.status_code in (201, 202), answer.text
        self.wait_ready(server)

    def wait_ready(self, server: str = "") -> None:
        """Wait until a server that is being started is ready."""
        eventually(lambda: self.servers().get(server), _ready_or_gone, START_S)
        if not self.servers().get(server, {}).get("ready"):
            path = f"hub/spawn-pending/{self.name}/{server}".rstrip("/")
            said = re.search(r'role="alert".*?>(.*?)<', self.http.get(path).text, re.DOTALL)
            raise AssertionError(f"{server!r} did not start: {said and said.group(1)}")

    def stop(self, server: str = "") -> None:
        """Stop a server and wait until the hub says that it is stopped."""
        path = f"users/{self.name}/servers/{server}" if server else f"users/{self.name}/server"
        answer = self.api("DELETE", path)
        assert answer.status_code in (202, 204), answer.text
        eventually(lambda: self.servers().get(server), lambda found: found is None)

    def servers(self) -> dict[str, Any]:
        """The user's running servers as the hub describes them."""
        answer = self.api("GET", f"users/{self.name}")
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()["servers"]
        return {name: one for name, one in found.items() if one.get("ready") or one.get("pending")}

    def saved(self, server: str = "") -> Server:
        """The server's environment once it is saved."""
        with self.connection() as service:
            return eventually(
                lambda: service.send(client.server(self.name, server)),
                lambda found: found.status == ServerStatus.SAVED,
                60.0,
            )

    def lab(self, server: str = "") -> Lab:
        """The running server's own API."""
        return Lab(self, server, self.token(f"access:servers!server={self.name}/{server}"))

    def xsrf(self) -> str:
        """The token of the hub's pages, which it wants back in a header."""
        found = [c.value for c in self.http.cookies.jar if c.name == "_xsrf" and c.path == "/hub/"]
        return found[0] or "" if found else ""


def _ready_or_gone(server: dict[str, Any] | None) -> bool:
    return server is None or bool(server["ready"])


@dataclass
class Lab:
    """A running server: its REST API, its process, and its shell."""

    user: User
    name: str
    token: str

    @property
    def path(self) -> str:
        """The server's path on the platform."""
        return f"user/{self.user.name}/{self.name}/" if self.name else f"user/{self.user.name}/"

    def get(self, path: str) -> httpx.Response:
        """A request with the user's token."""
        headers = {"Authorization": f"token {self.token}"}
        return self.user.http.get(self.path + path, headers=headers)

    @property
    def process(self) -> psutil.Process:
        """The server's process."""
        ours = f"{self.user.platform.url}services/atoll/"
        for process in psutil.process_iter():
            try:
                variables, command = process.environ(), process.cmdline()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            if (
                variables.get("ATOLL_URL") == ours
                and variables.get("JUPYTERHUB_USER") == self.user.name
                and variables.get("JUPYTERHUB_SERVER_NAME") == self.name
                and "atoll.hub.singleuser" in command
            ):
                return process
        raise AssertionError(f"no process of {self.user.name}/{self.name}")

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command with the server's environment, in the home, as a terminal would."""
        process = self.process
        script = 'exec "$@"'  # looked up on the PATH of the server, not on ours
        return subprocess.run(
            ["/bin/sh", "-c", script, "sh", *command],
            env=process.environ(),
            cwd=process.cwd(),
            capture_output=True,
            text=True,
            check=check,
        )


def choose_port() -> int:
    """A free port for a platform of a test."""
    return addresses.choose(1)[0]


@contextmanager
def running(home: Home, port: int | None = None) -> Iterator[Platform]:
    """A platform of its own; it is ended in order, or else killed."""
    platform = Platform(home)
    try:
        atoll(home, "up", "--detach", "--port", str(port or choose_port()))
        yield platform
    finally:
        end(platform)


def atoll(home: Home, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the `atoll` command for this home as in a shell."""
    done = subprocess.run(
        [sys.executable, "-m", "atoll.apps.cli", *arguments, "--home", str(home.path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert not check or done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
    return done


def end(platform: Platform) -> None:
    """End the platform with all that it started, whatever state it is in."""
    for browser in platform.browsers:
        browser.close()
    status = platform.status
    try:
        atoll(platform.home, "down", "--stop-jobs", check=False)
    except subprocess.TimeoutExpired:
        status = platform.status
    for left in [status.supervisor, *(part.process for part in status.parts)]:
        if left is not None:
            left.send(signal.SIGKILL)
    for found in psutil.process_iter():
        try:
            if found.environ().get("ATOLL_URL") == f"{status.url}services/atoll/":
                found.kill()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def make_wheel(folder: Path, name: str, version: str) -> Path:
    """A tiny package with a module and a console script of its name; no index is asked for it."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"def main():\n    print('{name} {version}')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(file, text)
    return path
