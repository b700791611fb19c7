"""Certificates, passwords and token services for the registries of tests."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "ada", "a made-up password"
HTPASSWD = "ada:$2y$05$kROuMsm36QN6W21q5Np9AuRXelciw1qmvujYGTR6iA35KSr7fAkxO"
"""USER and PASSWORD as `htpasswd -B` writes them."""


@dataclass(frozen=True)
class Tls:
    """A registry's certificate for 127.0.0.1, its key, and the CA that signed it."""

    authority: Path
    certificate: Path
    key: Path


def certificates(place: Path) -> Tls:
    """Makes a CA, named after the place, and a certificate by it."""
    place.mkdir(parents=True, exist_ok=True)
    root_key, root = _certificate(f"CA of {place.name}", None)
    key, certificate = _certificate("127.0.0.1", (root_key, root))
    made = Tls(place / "ca.pem", place / "registry.pem", place / "registry.key")
    made.authority.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return made


def _certificate(
    name: str, signer: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signing, issuer = (key, subject) if signer is None else (signer[0], signer[1].subject)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    )
    if signer is not None:
        names = [x509.IPAddress(ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return key, builder.sign(signing, hashes.SHA256())


@dataclass
class TokenService:
    """A token service's address, what was asked for and as whom, and the tokens it gave."""

    address: str
    asked: list[tuple[list[str], str | None]] = field(default_factory=list)
    given: list[str] = field(default_factory=list)


Give = Callable[[list[str]], tuple[str, float]]
"""A token for scopes, and the seconds it says that it lives."""


@contextmanager
def token_service(give: Give, *, needs_password: bool = True) -> Iterator[TokenService]:
    """Runs a token service that gives tokens to USER until the block ends."""
    wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
            came = self.headers.get("authorization")
            service.asked.append((scopes, came))
            if needs_password and came != wanted:
                self.send_response(401)
                self.end_headers()
                return
            token, lifetime = give(scopes)
            service.given.append(token)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"token": token, "expires_in": lifetime}).encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service = TokenService(f"127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
