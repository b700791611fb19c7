"""The registry as the chart configures it, run for real: TLS, and the platform's tokens alone."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
import yaml
from atoll.checkpoints.registry_tokens import RegistryTokens
from atoll.kit.home import Home

from tests.helm.chart import find, render

NAME: Final = "atoll-registry.atoll.svc.cluster.local"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the registry's pod mounts, and the secrets of the service's."""
    folder = tmp_path_factory.mktemp("registry")
    objects = render()
    secrets, tls = (find(objects, "Secret", one, "atoll")["data"] for one in ("atoll", "atoll-tls"))
    home = Home(folder / "home")
    home.create()
    for name in ("registry-token", "registry-token.crt"):
        (home.secrets / name).write_bytes(base64.b64decode(secrets[name]))
    for name, key in {
        "tls.crt": "registry.crt",
        "tls.key": "registry.key",
        "ca.crt": "ca.crt",
    }.items():
        (folder / name).write_bytes(base64.b64decode(tls[key]))
    (folder / "tokens.crt").write_bytes(base64.b64decode(secrets["registry-token.crt"]))
    config = find(objects, "Secret", "atoll-registry")["stringData"]["config.yml"]
    (folder / "config.yml").write_text(config, "utf-8")
    return folder


@pytest.fixture(scope="module")
def registry(folder: Path) -> Iterator[httpx.Client]:
    """A client of the running registry, by the name that nodes and agents use."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = yaml.safe_load(
        (folder / "config.yml").read_text("utf-8").replace("/srv/tls", str(folder))
    )
    config["http"]["addr"] = f"127.0.0.1:{port}"
    config["storage"]["filesystem"]["rootdirectory"] = str(folder / "data")
    (folder / "run.yml").write_text(yaml.safe_dump(config), "utf-8")
    program = shutil.which("docker-registry")
    assert program, "tests/install-system-packages has not run"
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none", "REGISTRY_HTTP_SECRET": "x"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(folder / "run.yml")], stdout=log, stderr=log, env=environment
        )
    trusted = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    with httpx.Client(
        base_url=f"https://127.0.0.1:{port}", verify=trusted, trust_env=False
    ) as client:
        client.event_hooks["request"].append(
            lambda request: request.extensions.update(sni_hostname=NAME)
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                client.get("/")
                break
            except httpx.TransportError:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
        yield client
    process.terminate()
    process.wait(10)


def test_it_answers_probes_and_asks_everybody_else_for_a_token(registry: httpx.Client) -> None:
    assert registry.get("/").status_code == 200
    answer = registry.get("/v2/")
    assert answer.status_code == 401
    asked = answer.headers["www-authenticate"]
    realm = "http://atoll-service.atoll.svc.cluster.local:8010/services/atoll/registry/token"
    assert f'realm="{realm}"' in asked
    assert 'service="registry"' in asked


def test_the_platforms_tokens_open_one_repository(registry: httpx.Client, folder: Path) -> None:
    issuer = RegistryTokens(Home(folder / "home"), issuer="atoll", service="registry")
    token = issuer.issue("atoll/ada", "pull,push", save="test").value
    login = {"Authorization": f"Bearer {token}"}
    started = registry.post("/v2/atoll/ada/blobs/uploads/", headers=login)
    assert started.status_code == 202, started.text
    assert registry.post("/v2/atoll/bo/blobs/uploads/", headers=login).status_code == 401
    assert registry.post("/v2/atoll/ada/blobs/uploads/").status_code == 401


def test_a_token_of_another_installation_opens_nothing(
    registry: httpx.Client, tmp_path: Path
) -> None:
    other = RegistryTokens(Home(tmp_path), issuer="atoll", service="registry")
    token = other.issue("atoll/ada", "pull", save="test").value
    answer = registry.get("/v2/atoll/ada/tags/list", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
