"""The secrets that an installation makes: the platform's own programs take them as they are."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import jwt
from atoll.checkpoints.registry_tokens import RegistryTokens
from atoll.kit.home import Home
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.verification import PolicyBuilder, Store

from tests.helm.chart import Object, find, pods, render


def data(objects: list[Object], name: str) -> dict[str, str]:
    secret = find(objects, "Secret", name, "atoll")
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def test_tokens_are_as_the_hub_takes_them() -> None:
    secrets = data(render(), "atoll")
    for name in (
        "service-token", "hub-token", "culler-token", "cookie-secret", "proxy-token", "job-tokens",
        "hold-tokens",
    ):  # fmt: skip
        assert re.fullmatch(r"[0-9a-f]{64}", secrets[name]), name
    assert len(secrets["admin-password"]) >= 32
    assert len(set(secrets.values())) == len(secrets)


def test_the_platform_issues_registry_tokens_with_them(tmp_path: Path) -> None:
    """And writes nothing beside them: in the pod they are read-only."""
    secrets = data(render(), "atoll")
    home = Home(tmp_path)
    home.create()
    for name, value in secrets.items():
        (home.secrets / name).write_text(value, "ascii")
    before = {path.name: path.stat().st_mtime_ns for path in home.secrets.iterdir()}
    issuer = RegistryTokens(home, issuer="atoll", service="registry")
    token = issuer.issue("atoll/ada", "pull", save="test").value
    assert {path.name: path.stat().st_mtime_ns for path in home.secrets.iterdir()} == before

    certificate = x509.load_pem_x509_certificate(secrets["registry-token.crt"].encode())
    key = certificate.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    claims = jwt.decode(token, key, ["ES256"], audience="registry")
    assert claims["access"] == [{"type": "repository", "name": "atoll/ada", "actions": ["pull"]}]


def test_certificates_are_of_the_names_that_clients_use() -> None:
    objects = render()
    tls = data(objects, "atoll-tls")
    trusted = find(objects, "ConfigMap", "atoll-trust", "atoll")["data"]["ca.crt"]
    assert trusted.strip() == tls["ca.crt"].strip()
    store = Store([x509.load_pem_x509_certificate(tls["ca.crt"].encode())])
    for part, names in {
        "service": ["atoll-service.atoll.svc", "atoll-service.atoll.svc.cluster.local"],
        "registry": ["atoll-registry.atoll.svc.cluster.local", "atoll-registry.atoll"],
    }.items():
        leaf = x509.load_pem_x509_certificate(tls[f"{part}.crt"].encode())
        for name in names:
            verifier = PolicyBuilder().store(store).build_server_verifier(x509.DNSName(name))
            verifier.verify(leaf, [])
    webhook = find(objects, "ValidatingWebhookConfiguration", "atoll-servers-evictions")
    bundle = webhook["webhooks"][0]["clientConfig"]["caBundle"]
    assert base64.b64decode(bundle).decode() == tls["ca.crt"]


def test_nodes_pull_with_the_login_that_the_service_knows() -> None:
    objects = render()
    password = data(objects, "atoll")["registry-puller"]
    for namespace in ("atoll-servers", "atoll-jobs"):
        secret = find(objects, "Secret", "atoll-pull", namespace)
        config = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
        login = config["auths"]["atoll-registry.atoll.svc.cluster.local:5000"]
        assert base64.b64decode(login["auth"]).decode() == f"puller:{password}"


def test_secrets_stay_when_the_release_goes() -> None:
    objects = render()
    kept = {
        f"{one['kind']}/{one['metadata']['name']}"
        for one in objects
        if one["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
    }
    assert kept == {
        "Secret/atoll",
        "Secret/atoll-tls",
        "PersistentVolumeClaim/atoll-service",
        "Namespace/atoll-servers",
        "Namespace/atoll-jobs",
        "Namespace/atoll-agents",
    }


def test_secrets_of_ones_own_are_used_and_none_are_made() -> None:
    objects = render(
        {
            "secrets": {"existing": "mine", "existingTls": "my-tls", "existingCa": "CA"},
            "registry": {"pullSecret": "my-pull"},
        }
    )
    made = {one["metadata"]["name"] for one in objects if one["kind"] == "Secret"}
    assert made == {"atoll-registry"}  # its configuration
    text = json.dumps(objects)
    assert '"secretName": "mine"' in text
    assert '"secretName": "my-tls"' in text
    assert '"value": "my-pull"' in text
    assert '"secretName": "atoll"' not in text
    assert not [
        ref for ref in re.findall(r'"secretKeyRef": {"name": "([^"]*)"', text) if ref != "mine"
    ]


def test_logins_of_registries_are_where_images_are_pulled() -> None:
    logins = {"images.example:5000": {"username": "atoll", "password": "secret"}}
    objects = render({"images": {"logins": logins}})

    def hosts(name: str, namespace: str) -> set[str]:
        secret = find(objects, "Secret", name, namespace)
        return set(json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"])

    own = "atoll-registry.atoll.svc.cluster.local:5000"
    assert hosts("atoll-pull", "atoll-servers") == {own, "images.example:5000"}
    assert hosts("atoll-login", "atoll") == {"images.example:5000"}
    assert hosts("atoll-login", "atoll-agents") == {"images.example:5000"}
    for part, _, _, spec in pods(objects):
        assert spec["imagePullSecrets"] == [{"name": "atoll-login"}], part
