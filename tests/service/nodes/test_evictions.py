"""What Kubernetes is told that asks whether a server's pod may be evicted; its layer would go with it."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.registry.logins import Tls, certificates
from tests.platform.driver import choose_port

from .cluster import Cluster, eventually
from .kubernetes import NAME, SERVERS, Kubernetes
from .test_gone import started

UNKNOWN = f"st-{'7' * 22}"


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return certificates(tmp_path)


@pytest.fixture
def settings(kubernetes: Kubernetes, tls: Tls) -> dict[str, object]:
    kubernetes.node()
    admission = {
        "admission_port": choose_port(),
        "admission_certificate": str(tls.certificate),
        "admission_key": str(tls.key),
    }
    return {"kubernetes": {**kubernetes.section, **admission}}


def listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def ask(cluster: Cluster, settings: dict[str, Any], tls: Tls) -> Any:
    """Asks as the API server does; the code and the words of a refusal, None where it may go."""
    port = settings["kubernetes"]["admission_port"]
    url = f"https://127.0.0.1:{port}/admission/eviction"
    trust = ssl.create_default_context(cafile=str(tls.authority))
    eventually(lambda: listens(port), bool)

    def ask(name: str = NAME, namespace: str = SERVERS) -> tuple[int, str] | None:
        review = {"request": {"uid": "u-1", "name": name, "namespace": namespace}}
        answer = httpx.post(url, json=review, verify=trust, trust_env=False)
        response = answer.raise_for_status().json()["response"]
        assert response["uid"] == "u-1"
        if response["allowed"]:
            return None
        return response["status"]["code"], response["status"]["message"]

    return ask


def test_a_pod_may_go_once_its_server_is_saved(
    cluster: Cluster, kubernetes: Kubernetes, ask: Any
) -> None:
    started(cluster, kubernetes)
    eventually(ask, lambda refused: refused is not None)
    cluster.end()
    kubernetes.ended()
    code, words = ask()
    assert code == 429
    assert "not saved yet" in words
    cluster.agent()
    cluster.saved()
    eventually(ask, lambda refused: refused is None)
    assert ask("jupyter-nobody") is None, "there is none"
    assert ask(namespace="elsewhere") is None


def test_a_pod_that_the_list_lacks_is_looked_up(
    cluster: Cluster, kubernetes: Kubernetes, ask: Any
) -> None:
    """Its node is drained in the moment in which the service began and lists what there is."""
    kubernetes.away(True)
    refused = eventually(ask, lambda refused: refused is not None)
    assert refused[0] == 429
    assert "cannot be told now" in refused[1]
    kubernetes.away(False)
    eventually(ask, lambda refused: refused is None)


def test_a_pod_of_nobody_that_was_to_be_saved_stays(
    cluster: Cluster, kubernetes: Kubernetes, ask: Any
) -> None:
    """Of a database that was restored from an older copy, say."""
    kubernetes.pod(UNKNOWN, "jupyter-lost", unsaved=True)
    kubernetes.ended("jupyter-lost")
    refused = eventually(lambda: ask("jupyter-lost"), lambda refused: refused is not None)
    assert refused[0] == 429
    assert "removes its label atoll.dev/unsaved" in refused[1]
    kubernetes.pod(f"st-{'8' * 22}", "jupyter-other")
    assert ask("jupyter-other") is None
