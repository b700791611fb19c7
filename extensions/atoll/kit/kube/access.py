"""Where a cluster's API is and who we are there: the pod's own account, or a kubeconfig file."""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import yaml

from atoll.kit.settings import SettingsError

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Access:
    """`url` of the API server, its TLS context, and where our token is, which is renewed in its place."""

    url: str
    tls: ssl.SSLContext
    token_file: Path | None = None
    token: str = ""

    @classmethod
    def find(cls, kubeconfig: str = "") -> Self:
        """By the kubeconfig file, or the pod's own account for none; raises SettingsError."""
        return cls.of_file(Path(kubeconfig)) if kubeconfig else cls.of_pod()

    @classmethod
    def of_pod(cls, account: Path = _ACCOUNT) -> Self:
        """The account of the pod that this process is in."""
        host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
        port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host or not (account / "token").exists():
            raise SettingsError(
                "This process is in no pod with an account, so it cannot reach Kubernetes.",
                hint="Set kubernetes.kubeconfig, or run it in the cluster.",
            )
        shown = f"[{host}]" if ":" in host else host
        tls = ssl.create_default_context(cafile=str(account / "ca.crt"))
        return cls(f"https://{shown}:{port}", tls, token_file=account / "token")

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """The current context of a kubeconfig file: certificates or a token, no login programs."""
        try:
            document = yaml.safe_load(path.read_text("utf-8"))
            chosen = _named(document, "contexts", document["current-context"])["context"]
            cluster = _named(document, "clusters", chosen["cluster"])["cluster"]
            user = _named(document, "users", chosen["user"])["user"]
            return cls(
                str(cluster["server"]).rstrip("/"),
                _tls(cluster, user, path.parent),
                token_file=path.parent / user["tokenFile"] if user.get("tokenFile") else None,
                token=str(user.get("token") or ""),
            )
        except (
            OSError,
            UnicodeDecodeError,
            yaml.YAMLError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            raise SettingsError(
                f"kubernetes.kubeconfig = {str(path)!r} cannot be used: {error!r}.",
                hint="It needs a current context with a cluster, and certificates or a token.",
            ) from error

    def headers(self) -> dict[str, str]:
        """The headers that say who we are."""
        token = self.token_file.read_text("ascii").strip() if self.token_file else self.token
        return {"Authorization": f"Bearer {token}"} if token else {}


def _named(document: Any, kind: str, name: str) -> Any:
    for item in document[kind]:
        if item["name"] == name:
            return item
    raise KeyError(f"{kind}: {name}")


def _tls(cluster: Any, user: Any, folder: Path) -> ssl.SSLContext:
    authority = _bytes(cluster, "certificate-authority", folder)
    tls = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        raise ValueError("insecure-skip-tls-verify is not accepted")
    certificate = _bytes(user, "client-certificate", folder)
    key = _bytes(user, "client-key", folder)
    if certificate and key:
        # OpenSSL loads a key from a file only: one that nobody else can read, gone at once
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate + b"\n" + key)
            file.flush()
            tls.load_cert_chain(file.name)
    return tls


def _bytes(section: Any, name: str, folder: Path) -> bytes:
    """The content that a kubeconfig gives inline or by a file's name, empty for none."""
    if section.get(f"{name}-data"):
        return base64.b64decode(section[f"{name}-data"])
    return (folder / section[name]).read_bytes() if section.get(name) else b""
