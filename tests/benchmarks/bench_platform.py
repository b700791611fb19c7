"""The platform as a whole: its start, a server's start, memory, and the SDK's first moments.

The peer is JupyterHub as it comes: the same versions on the same machine, its own proxy, SQLite, the
spawner for one machine (`SimpleLocalProcessSpawner`), in the same run. A server counts as ready when
its JupyterLab page answers, seen from outside through the proxy.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
from atoll.apps.proxy_install import command as proxy_command
from atoll.kit.home import Home

from tests.platform.driver import Platform, atoll, choose_port, end

UPS = 3
STARTS = 12  # the 95th percentile of these is close to the slowest
FRESH = 10  # new Python processes for each import
_LOOK_S = 0.02


def _until(look: Callable[[], bool], within_s: float = 120.0) -> float:
    """Seconds until it is so."""
    began = time.perf_counter()
    while not look():
        assert time.perf_counter() - began < within_s
        time.sleep(_LOOK_S)
    return time.perf_counter() - began


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


class Visitor:
    """Somebody who logs in and starts a server again and again, on any JupyterHub."""

    def __init__(self, url: str, name: str, password: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=60.0, trust_env=False)
        self._name = name
        self._http.get("hub/login")
        form = {"username": name, "password": password, "_xsrf": self._http.cookies["_xsrf"]}
        assert self._http.post("hub/login", data=form).is_redirect

    def start(self) -> float:
        """Seconds from the click to the lab's page."""
        began = time.perf_counter()
        answer = self._api("POST")
        assert answer.status_code in (201, 202), answer.text
        page = f"user/{self._name}/lab"
        # follow_redirects: the first visit goes through the hub's own login at the server
        _until(lambda: self._lab(page))
        return time.perf_counter() - began

    def stop(self) -> None:
        """Stop the server and wait until it is gone."""
        assert self._api("DELETE").status_code in (202, 204)
        _until(lambda: not self._http.get(f"hub/api/users/{self._name}").json()["server"])

    def _lab(self, page: str) -> bool:
        answer = self._http.get(page, follow_redirects=True)
        return answer.status_code == 200 and "jupyter-config-data" in answer.text

    def _api(self, method: str) -> httpx.Response:
        cookies = [
            c.value for c in self._http.cookies.jar if c.name == "_xsrf" and c.path == "/hub/"
        ]
        headers = {"X-XSRFToken": cookies[0] or ""}
        return self._http.request(method, f"hub/api/users/{self._name}/server", headers=headers)


@contextmanager
def _stock_hub(folder: Path) -> Iterator[tuple[str, float, int]]:
    """JupyterHub as it comes: its address, the seconds to its login page, its process."""
    port, api, proxy_api = choose_port(), choose_port(), choose_port()
    (folder / "jupyterhub_config.py").write_text(
        f"c.JupyterHub.bind_url = 'http://127.0.0.1:{port}'\n"
        f"c.JupyterHub.hub_bind_url = 'http://127.0.0.1:{api}'\n"
        f"c.ConfigurableHTTPProxy.api_url = 'http://127.0.0.1:{proxy_api}'\n"
        f"c.ConfigurableHTTPProxy.command = {proxy_command()!r}\n"
        "c.JupyterHub.authenticator_class = 'dummy'\n"
        "c.DummyAuthenticator.password = 'bench'\n"
        "c.Authenticator.allow_all = True\n"
        "c.JupyterHub.spawner_class = 'simple'\n"
        f"c.Spawner.cmd = [{sys.executable!r}, '-m', 'jupyterhub.singleuser']\n"
        "c.Spawner.default_url = '/lab'\n"
        "c.Spawner.args = ['--allow-root', '--ServerApp.root_dir=/tmp']\n"
    )
    url = f"http://127.0.0.1:{port}/"
    with (folder / "hub.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub"], cwd=folder, stdout=log, stderr=log
        )
        try:
            took = _until(lambda: _answers(f"{url}hub/login"))
            yield url, took, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _rss(pid: int) -> float:
    """Megabytes that a process holds."""
    return psutil.Process(pid).memory_info().rss / 1e6


def _spread(values: list[float]) -> str:
    return f"({min(values):.2f} to {max(values):.2f})"


def _python(code: str, environ: dict[str, str]) -> float:
    """Milliseconds that the code takes in a new process, as it says itself; the median."""
    script = f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
    times = []
    for _ in range(FRESH):
        done = subprocess.run(
            [sys.executable, "-P", "-c", script],
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            check=True,
        )
        times.append(float(done.stdout.split()[-1]) * 1000)
    return statistics.median(times)


def _row(name: str, ours: float, unit: str, goal: float, **more: object) -> dict[str, object]:
    peer = more.get("peer")
    return {
        "name": name,
        "ours": ours,
        "peer": None,
        "peer_name": None,
        "unit": unit,
        "ratio": ours / peer if isinstance(peer, float) else None,
        "goal": f"≤ {goal:g} {unit}",
        "met": ours <= goal,
        **more,
    }


def _ups(home: Home, port: int) -> list[float]:
    """Seconds from the command to the login page, on a home that was up before."""
    times = []
    for _ in range(UPS):
        began = time.perf_counter()
        atoll(home, "up", "--detach", "--port", str(port))
        assert _answers(f"http://127.0.0.1:{port}/hub/login")
        times.append(time.perf_counter() - began)
        atoll(home, "down")
    return times


def _starts(visitor: Visitor) -> list[float]:
    visitor.start()  # the first start of all makes the home
    visitor.stop()
    times = []
    for _ in range(STARTS):
        times.append(visitor.start())
        visitor.stop()
    return sorted(times)


def _sdk(platform: Platform) -> list[dict[str, object]]:
    user = platform.user("ada")
    environ = {"ATOLL_URL": f"{platform.url}services/atoll/", "ATOLL_TOKEN": user.token()}
    first = _python("import atoll; atoll.datasets()", environ)
    hub = {"TOKEN": environ["ATOLL_TOKEN"], "HUB": f"{platform.url}hub/api/user"}
    bare = _python(
        "import os, httpx;"
        "httpx.get(os.environ['HUB'], headers={'Authorization': 'token ' + os.environ['TOKEN']})",
        hub,
    )
    return [
        _row(
            "import atoll", _python("import atoll", {}), "ms", 50,
            peer=_python("import papermill", {}), peer_name="import papermill",
        ),
        _row(
            "import and first call", first, "ms", 250,
            peer=bare, peer_name="import httpx, one call to the hub",
        ),
    ]  # fmt: skip


def measure() -> list[dict[str, object]]:
    """All figures of this file, as `python -m tests.benchmarks` prints them."""
    with tempfile.TemporaryDirectory(prefix="atoll-bench-") as name:
        folder = Path(name)
        home, port = Home(folder / "home"), choose_port()
        platform = Platform(home)
        try:
            atoll(home, "up", "--detach", "--port", str(port))
            atoll(home, "down")
            ups = _ups(home, port)
            atoll(home, "up", "--detach", "--port", str(port))
            idle, hub_idle = _rss(platform.pid("service")), _rss(platform.pid("hub"))
            password = home.secret("password")
            ours = _starts(Visitor(platform.url, "ada", password))
            sdk = _sdk(platform)
        finally:
            end(platform)
        stock_folder = folder / "stock"
        stock_folder.mkdir()
        with _stock_hub(stock_folder):
            pass  # once, so that its second start is as warm as ours
        with _stock_hub(stock_folder) as (url, stock_up, _):
            stock = _starts(Visitor(url, "ada", "bench"))
    peer = "JupyterHub as it comes"
    last = max(0, round(0.95 * (STARTS - 1)))
    return [
        _row(
            "up, warm, to the login page", statistics.median(ups), "s", 8,
            spread=_spread(ups), peer=stock_up, peer_name=peer,
        ),
        _row(
            "a server, click to lab, p50", statistics.median(ours), "s", 3.5,
            spread=_spread(ours), peer=statistics.median(stock), peer_name=peer,
        ),
        _row("a server, click to lab, p95", ours[last], "s", 5, peer=stock[last], peer_name=peer),
        _row(
            "the service, resident, idle", idle, "MB", 130,
            peer=hub_idle, peer_name="the hub's process beside it",
        ),
        *sdk,
    ]  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
