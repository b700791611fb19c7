"""What an upgrade, and uninstalling, leave as it is: secrets, namespaces; and nothing stuck."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.helm.chart import CHART, helm
from tests.kubernetes.driver import kubectl, run

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
