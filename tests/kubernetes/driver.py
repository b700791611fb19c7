"""Drives the platform in a cluster: kubectl for what operators do, HTTP for what users do."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from atoll.checkpoints import client
from atoll.checkpoints.models import Checkpoint, Server
from atoll.kit.home import Home

from tests.kubernetes import nodes
from tests.platform.driver import User, eventually

ROOT = Path(__file__).parents[2]
RELEASE = "atoll"
STARTED_S = 300.0
"""How long a start may take: schedulers let a pod lie for minutes that they saw before its new volume."""
SAVED_S = 120.0
"""How long a save may take on a loaded test machine."""


def run(*command: str, given: bytes | None = None, check: bool = True) -> str:
    """The output of a command; its errors are in the assertion."""
    done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=600)
    said = done.stdout.decode("utf-8", "replace")
    assert not check or done.returncode == 0, (
        f"{' '.join(command)}: {said}\n{done.stderr.decode('utf-8', 'replace')}"
    )
    return said


def kubectl(*arguments: str, given: bytes | None = None, check: bool = True) -> str:
    """kubectl, against the cluster that KUBECONFIG names."""
    return run("kubectl", *arguments, given=given, check=check)


def refused(*arguments: str, given: bytes | None = None) -> str:
    """Why the cluster does not do what this asks kubectl for."""
    done = subprocess.run(
        ("kubectl", *arguments), input=given, capture_output=True, check=False, timeout=600
    )
    assert done.returncode != 0, done.stdout.decode("utf-8", "replace")
    return done.stderr.decode("utf-8", "replace")


def objects(kind: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
    """Objects of a kind, as JSON."""
    more = ["-l", selector] if selector else []
    found: dict[str, Any] = json.loads(kubectl("get", kind, "-n", namespace, "-o", "json", *more))
    items: list[dict[str, Any]] = found["items"]
    return items


def notebook(pod: dict[str, Any]) -> dict[str, Any]:
    """The status of the container that is the user's server."""
    statuses: list[dict[str, Any]] = pod["status"]["containerStatuses"]
    return next(one for one in statuses if one["name"] == "notebook")


@dataclass
class Platform:
    """The installed platform. Passes for the one of `tests.platform.driver`, whose users use it."""

    namespace: str = RELEASE
    home: Home = field(default_factory=lambda: Home(Path("/nonexistent")))
    browsers: list[httpx.Client] = field(default_factory=list)

    @property
    def servers(self) -> str:
        """The namespace of servers."""
        return f"{RELEASE}-servers"

    @property
    def jobs(self) -> str:
        """The namespace of jobs."""
        return f"{RELEASE}-jobs"

    @property
    def agents(self) -> str:
        """The namespace of agents."""
        return f"{RELEASE}-agents"

    @cached_property
    def url(self) -> str:
        """What people open: the proxy's Service, which this host reaches."""
        spec = json.loads(
            kubectl("get", "service", "atoll-proxy", "-n", self.namespace, "-o", "json")
        )["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}/"

    @property
    def service(self) -> str:
        """The API through the proxy."""
        return f"{self.url}services/atoll/api/v1/"

    def secret(self, key: str) -> str:
        """One of the platform's secrets."""
        secret = json.loads(kubectl("get", "secret", "atoll", "-n", self.namespace, "-o", "json"))
        return base64.b64decode(secret["data"][key]).decode()

    def user(self, name: str, *, admin: bool = False) -> Person:
        """Somebody who has just logged in."""
        person = Person(self, name)  # type: ignore[arg-type]  # it has what users use
        answer = person.log_in(self.secret("admin-password" if admin else "password"))
        assert answer.is_redirect, answer.text
        return person

    def join(self, group: str, *names: str) -> None:
        """Put users who have logged in into a group, which is made where there is none."""
        admin = self.user("admin", admin=True)
        made = admin.api("POST", f"groups/{group}")
        assert made.status_code in (201, 409), made.text
        joined = admin.api("POST", f"groups/{group}/users", json={"users": list(names)})
        assert joined.is_success, joined.text

    def pod_of(self, part: str) -> str:
        """The name of a part's newest pod."""
        pods = objects("pods", self.namespace, f"app.kubernetes.io/component={part}")
        assert pods, f"no pod of {part}"
        return str(
            max(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])["metadata"]["name"]
        )

    def kill(self, part: str, namespace: str | None = None) -> None:
        """End a part's pods at once, as kill -9 and a lost pod do."""
        kubectl(
            "delete", "pods", "-n", namespace or self.namespace, "-l",
            f"app.kubernetes.io/component={part}", "--grace-period=0", "--force", "--wait=false",
        )  # fmt: skip

    def reached(self) -> None:
        """Wait until people reach the hub: a new proxy is told its routes within seconds."""
        eventually(lambda: self.answer("hub/login"), lambda code: code == httpx.codes.OK, 20)

    def answer(self, path: str, **headers: str) -> int:
        """The status with which a new connection is answered; 0 for none."""
        try:
            found = httpx.get(self.url + path, headers=headers, timeout=5.0, trust_env=False)
        except httpx.TransportError:
            return 0
        return found.status_code

    def ready(self) -> None:
        """Wait until all parts are."""
        for kind in ("deployments", "statefulsets"):
            for one in objects(kind, self.namespace):
                name = one["metadata"]["name"]
                kubectl(
                    "rollout", "status", f"{kind}/{name}", "-n", self.namespace, "--timeout=180s"
                )
        kubectl("rollout", "status", "daemonset/atoll-agent", "-n", self.agents, "--timeout=120s")


@dataclass
class Person(User):
    """A user whose servers are pods."""

    def pods(self) -> list[dict[str, Any]]:
        """The pods of this user's servers, oldest first."""
        platform: Any = self.platform
        found = [
            pod
            for pod in objects("pods", platform.servers, "atoll.dev/server=true")
            if pod["metadata"]["annotations"].get("hub.jupyter.org/username") == self.name
        ]
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    @property
    def pod(self) -> dict[str, Any]:
        """The one that runs."""
        running = [pod for pod in self.pods() if pod["status"]["phase"] == "Running"]
        assert len(running) == 1, [pod["metadata"]["name"] for pod in self.pods()]
        return running[0]

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command in the running server's container, with its environment."""
        platform: Any = self.platform
        name = self.pod["metadata"]["name"]
        return kubectl(
            "exec", "-n", platform.servers, name, "-c", "notebook", "--", *command, check=check
        )

    def sh(self, script: str, check: bool = True) -> str:
        """The same with a shell."""
        return self.run("sh", "-c", script, check=check)

    def sh_with(self, given: bytes, script: str) -> str:
        """The same, reading this."""
        platform: Any = self.platform
        name = self.pod["metadata"]["name"]
        return kubectl(
            "exec", "-i", "-n", platform.servers, name, "-c", "notebook", "--", "sh", "-c",
            script, given=given,
        )  # fmt: skip

    def put(self, path: Path, to: str) -> None:
        """Copy a file into the running server's container."""
        self.sh_with(path.read_bytes(), f"cat > {to}")

    def install(self, wheel: Path) -> None:
        """pip install of a wheel, in the server."""
        self.put(wheel, f"/tmp/{wheel.name}")
        self.run("pip", "install", "--no-index", f"/tmp/{wheel.name}")

    def wait_ready(self, server: str = "") -> None:
        """Wait until a server that is being started is ready."""
        found = eventually(
            lambda: self.servers().get(server), lambda one: one is None or one["ready"], STARTED_S
        )
        assert found is not None, f"{server!r} did not start"

    def server(self, name: str = "") -> Server:
        """The server as the platform keeps it."""
        with self.connection() as service:
            return service.send(client.server(self.name, name))

    def checkpoints(self) -> list[Checkpoint]:
        """The user's checkpoints, newest first."""
        with self.connection() as service:
            return service.send(client.checkpoints(user=self.name, limit=100)).items

    def settled(self, within_s: float = SAVED_S) -> Server:
        """Wait until everything is saved and the pod is gone."""
        found = eventually(self.server, lambda one: one.status == "saved", within_s)
        eventually(self.pods, lambda pods: not pods, 60.0)
        return found


@contextmanager
def installed(values: Sequence[Path | str], namespace: str = RELEASE) -> Iterator[Platform]:
    """The chart, installed with these values (files, or `name=value`), and removed afterwards.

    With ATOLL_KEEP set it stays, for a look.
    """
    platform = Platform(namespace)
    options = ["-f", "-"]  # what is so of this cluster's nodes
    told = json.dumps(nodes.values()).encode()
    for one in values:
        options += ["-f", str(one)] if isinstance(one, Path) else ["--set", one]
    try:
        run(
            "helm", "upgrade", "--install", RELEASE, str(ROOT / "helm/atoll"), "-n", namespace,
            "--create-namespace", "--wait", "--timeout", "8m", *options, given=told,
        )  # fmt: skip
        platform.ready()
        yield platform
    finally:
        for browser in platform.browsers:
            browser.close()
        if not os.environ.get("ATOLL_KEEP"):
            remove(platform)


def remove(platform: Platform) -> None:
    """Everything, what uninstalling keeps included, and servers that nobody is there to save."""
    run(
        "helm",
        "uninstall",
        RELEASE,
        "-n",
        platform.namespace,
        "--wait",
        "--timeout",
        "3m",
        check=False,
    )
    kubectl(
        "delete", "pods", "--all", "-n", platform.servers, "--grace-period=0", "--force", check=False
    )  # fmt: skip
    for namespace in (platform.servers, platform.jobs, platform.agents, platform.namespace):
        kubectl(
            "delete", "namespace", namespace, "--ignore-not-found", "--timeout=120s", check=False
        )
