"""The engine by itself on a real node of Kubernetes: a pod's container saved by hand, and started again."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.driver import kubectl, run
from tests.kubernetes.where import REGISTRY
from tests.platform.driver import eventually

pytestmark = pytest.mark.on_node

ADDRESS = os.environ.get("CONTAINERD_ADDRESS", "/run/containerd/containerd.sock")
PACKAGES = "/usr/local/lib/python3.11/dist-packages"
WORK = (
    f"echo kept > /srv/notes; mkdir -p {PACKAGES}/polars-2.1.dist-info; rm -f /etc/issue;"
    " cat /var/run/secrets/kubernetes.io/serviceaccount/token > /tmp/token; echo $SECRET > /run/secret"
)


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    name = f"engine-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", name)
    eventually(
        lambda: kubectl("get", "serviceaccount", "default", "-n", name, check=False), bool, 30
    )
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def pod(namespace: str, name: str, script: str, image: str = "python:3.11-slim") -> None:
    """Runs a script in a pod of its own."""
    container = {
        "name": "notebook",
        "image": image,
        "command": ["sh", "-c", script],
        "env": [{"name": "SECRET", "value": "planted-5a1c"}],
    }
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    kubectl("apply", "-f", "-", given=json.dumps(document).encode())


def reaches(namespace: str, name: str, phase: str) -> None:
    kubectl(
        "wait", f"--for=jsonpath={{.status.phase}}={phase}", f"pod/{name}", "-n", namespace,
        "--timeout=120s",
    )  # fmt: skip


def agent(*arguments: str) -> dict[str, Any]:
    program = str(Path(sys.executable).parent / "atoll-agent")
    where = ("--runtime", "containerd", "--address", ADDRESS, "-o", "json")
    found: dict[str, Any] = json.loads(run(program, *arguments, *where))
    return found


@pytest.mark.parametrize("live", [False, True], ids=["at rest", "live"])
def test_a_pods_container_is_saved_and_the_next_pod_goes_on_from_it(
    namespace: str, live: bool
) -> None:
    name = "live" if live else "ended"
    pod(namespace, name, f"{WORK}; {'sleep 1000' if live else 'true'}")
    reaches(namespace, name, "Running" if live else "Succeeded")
    if live:
        eventually(lambda: agent("diff", f"{namespace}/{name}/notebook")["size"], bool, 20)
    image = f"{REGISTRY}/{namespace}/ada:{name}"
    more = ("--live",) if live else ()

    told = agent("commit", f"{namespace}/{name}/notebook", image, "--plain-http", *more)

    assert [(one["name"], one["after"]) for one in told["changes"]["packages"]] == [
        ("polars", "2.1")
    ]
    assert {"tmp", "run"} & {one["path"] for one in told["left_out"]}
    assert told["frozen_ms"] < 2000
    started = f"{REGISTRY}/{namespace}/ada@{told['digest']}"
    pod(
        namespace, f"{name}-again",
        f"cat /srv/notes; ls {PACKAGES} | grep polars; ls /tmp /run; cat /etc/issue; true", started,
    )  # fmt: skip
    reaches(namespace, f"{name}-again", "Succeeded")
    said = kubectl("logs", f"{name}-again", "-n", namespace)
    assert said.startswith("kept\npolars-2.1.dist-info\n")
    assert "token" not in said
    assert "No such file" in said
    config = run("skopeo", "inspect", "--config", "--tls-verify=false", f"docker://{started}")
    assert "planted-5a1c" not in config
