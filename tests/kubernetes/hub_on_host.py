"""The hub, the service, the proxy and an agent as processes of this host, and servers as pods.

The host reaches pods and is reached by them, so that the spawner can be tried without the chart.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from atoll.apps import proxy_install
from atoll.checkpoints import client
from atoll.checkpoints.models import Checkpoint, Server
from atoll.kit.home import Home

from hub_config.auth_secrets import admin_password, user_password
from tests.kubernetes.driver import kubectl, objects, run
from tests.kubernetes.where import FOR_TESTS, IMAGES, REGISTRY, TAG
from tests.platform.driver import User, choose_port, eventually

HERE = Path(__file__).parent
SERVERS = f"spawner-{secrets.token_hex(3)}"
"""The namespace of servers: of this run alone, should there be another one in the cluster."""
IMAGE = f"{FOR_TESTS}/spawned:{TAG}"


def _table(values: dict[str, Any], prefix: str = "") -> str:
    """A TOML document; enough of TOML for settings."""
    plain = {name: value for name, value in values.items() if not isinstance(value, dict)}
    lines = [f"[{prefix}]"] if prefix else []
    lines += [f"{json.dumps(name)} = {_value(value)}" for name, value in plain.items()]
    text = "\n".join(lines) + "\n"
    for name, value in values.items():
        if isinstance(value, dict):
            text += _table(value, f"{prefix}.{json.dumps(name)}" if prefix else json.dumps(name))
    return text


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(one) for one in value)}]"
    if isinstance(value, dict):
        pairs = (f"{json.dumps(name)} = {_value(one)}" for name, one in value.items())
        return f"{{{', '.join(pairs)}}}"
    return json.dumps(value)


@dataclass
class Host:
    """The platform's processes. Passes for the one of `tests.platform.driver`, whose users use it."""

    home: Home
    settings: dict[str, Any]
    browsers: list[httpx.Client] = field(default_factory=list)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    variables: dict[str, dict[str, str]] = field(default_factory=dict)  # of a part, besides

    def __post_init__(self) -> None:
        self.ip = os.environ["KUBE_NODE_IP"]
        self.ports = {name: choose_port() for name in ("public", "hub", "proxy", "service")}
        self.home.create()
        self.write()

    @property
    def url(self) -> str:
        """What people open; ends with a slash."""
        return f"http://127.0.0.1:{self.ports['public']}/"

    @property
    def service(self) -> str:
        """The API's address through the proxy."""
        return f"{self.url}services/atoll/api/v1/"

    @property
    def node(self) -> str:
        """The name of the one real node."""
        nodes = json.loads(kubectl("get", "nodes", "-l", "type!=kwok", "-o", "json"))["items"]
        return str(nodes[0]["metadata"]["name"])

    def write(self, **more: Any) -> None:
        """Write the settings file."""
        ports = self.ports
        inside = f"http://{self.ip}:{ports['service']}/services/atoll/"
        known: dict[str, Any] = {
            "hub": {
                "spawner": "kubernetes",
                "admins": ["root"],
                "host": self.ip,
                "port": ports["hub"],
                "connect_url": f"http://{self.ip}:{ports['hub']}",
                "proxy_api_port": ports["proxy"],
                "public_url": self.url,
                "start_timeout_s": 30,
                "schedule_timeout_s": 8,
                "image": IMAGE,
                "storage": {"kind": "none"},
                "contact": "the operators",
            },
            "kubernetes": {
                "enabled": True,
                "kubeconfig": os.environ["KUBECONFIG"],
                "servers_namespace": SERVERS,
                "service_url": inside,
                "hold_image": f"{IMAGES}/hold:{TAG}",
                "grace_s": 60,
            },
            "service": {
                "host": self.ip,
                "port": ports["service"],
                "hub_api_url": f"http://{self.ip}:{ports['hub']}/hub/api/",
                "url": inside,
            },
            "registry": {"address": REGISTRY, "prefix": "kept", "plain_http": True},
            "nodes": {"name": self.node},
        }
        for section, values in (*self.settings.items(), *more.items()):
            known[section] = {**known.get(section, {}), **values}
        text = _table(known)
        tomllib.loads(text)
        self.home.settings.write_text(text)

    def begin(self, *parts: str) -> None:
        """Start these parts, and wait until hub and service answer."""
        for part in parts:
            argv, more = self._command(part)
            environ = {**os.environ, "ATOLL_HOME": str(self.home.path), **more}
            environ |= self.variables.get(part, {})
            with (self.home.logs / f"{part}.log").open("ab") as log:
                self.processes[part] = subprocess.Popen(
                    argv, cwd=self.home.run, env=environ, stdout=log, stderr=log
                )
        if "service" in parts:
            self._wait(f"http://{self.ip}:{self.ports['service']}/metrics")
        if "hub" in parts:
            self._wait(f"{self.url}hub/api/")

    def kill(self, *parts: str) -> None:
        """kill -9."""
        for part in parts:
            process = self.processes.pop(part)
            process.send_signal(signal.SIGKILL)
            process.wait()

    def user(self, name: str) -> Guest:
        """Somebody who has just logged in."""
        guest = Guest(self, name)  # type: ignore[arg-type]  # it has what users use
        password = admin_password if name == "root" else user_password
        answer = guest.log_in(password(self.home))
        assert answer.is_redirect, answer.text
        return guest

    def log(self, part: str) -> str:
        """A part's log."""
        return (self.home.logs / f"{part}.log").read_text()

    def close(self) -> None:
        """End everything."""
        for browser in self.browsers:
            browser.close()
        for process in self.processes.values():
            process.kill()
            process.wait()

    def _command(self, part: str) -> tuple[list[str], dict[str, str]]:
        ports = self.ports
        match part:
            case "proxy":
                options = [
                    "--ip=127.0.0.1", f"--port={ports['public']}", "--api-ip=127.0.0.1",
                    f"--api-port={ports['proxy']}", "--log-level=warn",
                    f"--error-target=http://{self.ip}:{ports['hub']}/hub/error",
                ]  # fmt: skip
                token = {"CONFIGPROXY_AUTH_TOKEN": self.home.secret("proxy-token")}
                return [*proxy_install.command(), *options], token
            case "hub":
                return [sys.executable, "-P", "-m", "hub_config"], {}
            case "service":
                return [sys.executable, "-P", "-m", "atoll.apps.service"], {}
            case "agent":
                self.home.secret("agent-token")
                service = f"http://{self.ip}:{ports['service']}/services/atoll/"
                options = [
                    f"--service={service}", f"--node={self.node}", "--runtime=containerd",
                    f"--address={os.environ['CONTAINERD_ADDRESS']}",
                    f"--token-file={self.home.secrets / 'agent-token'}",
                    f"--state={self.home.run / 'agent'}",
                ]  # fmt: skip
                return [sys.executable, "-P", "-m", "atoll.apps.agent", "run", *options], {}
        raise AssertionError(part)

    def _wait(self, url: str) -> None:
        def answers() -> bool:
            try:
                return httpx.get(url, trust_env=False).is_success
            except httpx.HTTPError:
                return False

        eventually(answers, bool, 60)


@dataclass
class Guest(User):
    """A user whose servers are pods."""

    def pods(self) -> list[dict[str, Any]]:
        """The pods of this user's servers, oldest first."""
        found = [
            pod
            for pod in objects("pods", SERVERS, "atoll.dev/server=true")
            if pod["metadata"]["annotations"]["hub.jupyter.org/username"] == self.name
        ]
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    @property
    def pod(self) -> dict[str, Any]:
        """The newest one."""
        return self.pods()[-1]

    def sh(self, script: str, check: bool = True) -> str:
        """Run a script in the running server."""
        name = self.pod["metadata"]["name"]
        command = ["sh", "-c", script]
        return kubectl("exec", "-n", SERVERS, name, "-c", "notebook", "--", *command, check=check)

    def begin(self, server: str = "", **options: str) -> None:
        """Ask for a start, and do not wait."""
        path = f"users/{self.name}/servers/{server}" if server else f"users/{self.name}/server"
        answer = self.api("POST", path, json={"user_options": options} if options else {})
        assert answer.status_code in (201, 202), answer.text

    def follow(self, server: str = "") -> Iterator[str]:
        """What the progress page says of a start, as it is said."""
        path = f"servers/{server}/progress" if server else "server/progress"
        url = f"hub/api/users/{self.name}/{path}"
        with self.http.stream("GET", url, timeout=120) as answer:
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    yield str(json.loads(line.removeprefix("data:"))["message"])

    def messages(self, server: str = "") -> list[str]:
        """All of it, once the start is over."""
        return list(self.follow(server))

    def refusal(self, **options: str) -> str:
        """What a start that cannot be leads to."""
        self.begin(**options)
        said = self.messages()
        assert said[-1].startswith("Spawn failed"), said
        return said[-1]

    def server(self, name: str = "") -> Server:
        """The server as the platform keeps it."""
        with self.connection() as service:
            return service.send(client.server(self.name, name))

    def checkpoints(self) -> list[Checkpoint]:
        """The user's checkpoints, newest first."""
        with self.connection() as service:
            return service.send(client.checkpoints(user=self.name, limit=100)).items


@contextmanager
def on_host(folder: Path, settings: dict[str, Any]) -> Iterator[Host]:
    """The platform on this host with a namespace for servers, which is gone afterwards."""
    if builder := os.environ.get("IMAGE_BUILDER"):
        run(builder, IMAGE.removeprefix(f"{REGISTRY}/"), str(HERE / "images" / "spawned"))
    host = Host(Home(folder), settings)
    level = "pod-security.kubernetes.io/enforce=restricted"
    kubectl("create", "namespace", SERVERS)
    try:
        kubectl("label", "namespace", SERVERS, level)
        host.begin("proxy", "service", "hub")
        yield host
    finally:
        host.close()
        kubectl(
            "delete", "pods", "--all", "-n", SERVERS, "--grace-period=0", "--force", check=False
        )
        kubectl("delete", "namespace", SERVERS, "--timeout=120s", check=False)
