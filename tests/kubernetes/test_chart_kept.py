"""What an upgrade, and uninstalling, leave as it is: secrets, namespaces; and nothing stuck."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.helm.chart import CHART, helm
from tests.kubernetes.driver import kubectl, run
from tests.kubernetes.where import PYTHON
from tests.platform.driver import eventually

NOTHING_RUNS: Final = {
    "hub": {"enabled": False},
    "service": {"enabled": False},
    "proxy": {"enabled": False, "apiUrl": "http://proxy.example:8001"},
    "agents": {"enabled": False},
    "registry": {"enabled": False, "address": "registry.example"},
    "postgres": {"enabled": False},
    "prePuller": {"enabled": False},
}


def install(name: str, more: dict[str, Any] | None = None) -> str:
    """Install, or upgrade; what helm says."""
    return run(
        helm(), "upgrade", "--install", name, str(CHART), "--namespace", name, "--create-namespace",
        "--values", "-", "--set", f"fullnameOverride={name}", "--wait", "--timeout", "60s",
        given=json.dumps(NOTHING_RUNS | (more or {})).encode(),
    )  # fmt: skip


def secrets(name: str) -> dict[str, Any]:
    """What is in the release's Secrets."""
    found = json.loads(kubectl("get", "secret", name, f"{name}-tls", "-n", name, "-o", "json"))
    return {one["metadata"]["name"]: one["data"] for one in found["items"]}


@pytest.fixture
def release() -> Iterator[str]:
    """A release of which no pod runs."""
    name = f"kept-{uuid.uuid4().hex[:6]}"
    yield name
    run(helm(), "uninstall", name, "--namespace", name, check=False)
    spaces = [name, *[f"{name}-{one}" for one in ("servers", "jobs", "agents")]]
    kubectl("delete", "namespace", *spaces, "--ignore-not-found", "--timeout=100s")


def test_secrets_outlive_upgrades_and_the_release(release: str) -> None:
    said = install(release)
    before = secrets(release)
    assert "password" in said
    assert before[release]["password"] not in said

    install(release, {"culler": {"enabled": False}})
    assert secrets(release) == before

    left = run(helm(), "uninstall", release, "--namespace", release, "--wait", "--timeout", "60s")
    assert "kept due to the resource policy" in left
    assert secrets(release) == before
    for one in ("servers", "jobs", "agents"):
        phase = kubectl("get", "ns", f"{release}-{one}", "-o", "jsonpath={.status.phase}")
        assert phase == "Active"
    policies = kubectl(
        "get", "validatingadmissionpolicies,validatingwebhookconfigurations", "-o", "name"
    )
    assert release not in policies

    install(release)
    assert secrets(release) == before


def test_a_key_that_was_taken_away_is_made_anew_alone(release: str) -> None:
    install(release)
    before = secrets(release)
    patch = json.dumps({"data": {"password": None}})
    kubectl("patch", "secret", release, "-n", release, "-p", patch)
    install(release)
    after = secrets(release)
    assert after[release].pop("password") != before[release].pop("password")
    assert after == before


def test_certificates_follow_their_names_and_secrets_do_not(release: str) -> None:
    install(release)
    before = secrets(release)
    install(release, {"clusterDomain": "example.local"})
    after = secrets(release)
    assert after[release] == before[release]
    assert after[f"{release}-tls"]["ca.crt"] != before[f"{release}-tls"]["ca.crt"]


def running(release: str) -> str:
    """A server that runs, with a home in a claim, as far as the chart sees one; its namespace."""
    space = f"{release}-servers"
    labels = {"atoll.dev/server": "true"}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "claim-ada", "namespace": space},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }
    secured = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "notebook",
        "image": PYTHON,
        "command": ["sleep", "3600"],
        "securityContext": secured,
        "volumeMounts": [{"name": "home", "mountPath": "/home/jovyan"}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "jupyter-ada", "namespace": space, "labels": labels},
        "spec": {
            "containers": [container],
            "terminationGracePeriodSeconds": 600,
            "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": "claim-ada"}}],
        },
    }
    for one in (claim, pod):
        kubectl("create", "-f", "-", given=json.dumps(one).encode())
    kubectl("wait", "pod/jupyter-ada", "-n", space, "--for=condition=Ready", "--timeout=100s")
    return space


def evicted(space: str, *more: str) -> str:
    """What comes of an eviction of that server's pod."""
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": "jupyter-ada", "namespace": space},
    }
    path = f"/api/v1/namespaces/{space}/pods/jupyter-ada/eviction"
    done = subprocess.run(
        ["kubectl", "create", "--raw", f"{path}{''.join(more)}", "-f", "-"],
        input=json.dumps(eviction),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_release_leaves_its_servers_running_and_what_the_notes_say_removes_them(
    release: str,
) -> None:
    notes = install(release)
    space = running(release)
    budget = ("get", "pdb", space, "-n", space, "-o", "jsonpath={.status.observedGeneration}")
    eventually(lambda: kubectl(*budget), bool, 20.0)
    assert "disruption budget" in evicted(space, "?dryRun=All")

    run(helm(), "uninstall", release, "--namespace", release, "--wait", "--timeout", "60s")

    at = ("-n", space, "-o", "jsonpath={.status.phase}")
    assert kubectl("get", "pod", "jupyter-ada", *at) == "Running"
    assert kubectl("get", "pvc", "claim-ada", *at) == "Bound"
    assert "Success" in evicted(space, "?dryRun=All"), "the budget went with the release"
    commands = [line.split() for line in notes.splitlines() if line.startswith("  kubectl delete")]
    assert len(commands) == 3
    for program, *arguments in commands:
        run(program, *arguments, "--timeout=100s")
    left = kubectl("get", "namespaces", "-o", "name").split()
    assert not [one for one in left if one.startswith(f"namespace/{release}-")]
    kept = ("-n", release, "-l", f"app.kubernetes.io/instance={release}", "-o", "name")
    assert not kubectl("get", "secret,pvc", *kept)


def test_the_check_of_the_network_says_whether_policies_are_enforced_and_never_passes_unless(
    release: str,
) -> None:
    install(release)
    done = subprocess.run(
        [str(CHART.parent / "check-network"), release, "--image", PYTHON],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 2), done.stdout + done.stderr
    assert ("does NOT enforce NetworkPolicies" in done.stdout) is (done.returncode == 2)
    assert " 0 otherwise than" in done.stdout or done.returncode == 2
    there = ("get", "pods", "-A", "-o", "name")
    eventually(lambda: kubectl(*there), lambda left: "atoll-check-network" not in left, 30.0)
