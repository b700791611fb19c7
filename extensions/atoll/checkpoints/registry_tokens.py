"""The platform as a registry's token issuer: a token for one repository, for one save, for minutes.

The registry trusts the certificate made here (`auth.token.rootcertbundle`, docker-registry 2.x and
3.x) or the key set (`jwks`, 3.x with `kid` alone). Both come from one key pair in the home's secrets.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from atoll.kit.errors import InvalidError
from atoll.kit.home import Home
from atoll.oci.registry_settings import checked_repository

SECRET = "registry-token"  # noqa: S105 - the name of its file
CERTIFICATE = "registry-token.crt"
"""Beside the secret, for the operator to give to the registry; written anew where it is missing."""
_VALID_YEARS = (
    20  # of the certificate: it only carries the key, and is renewed by removing the secret
)
_SKEW_S = 30  # seconds that a registry's clock may be behind; registries allow 60 past the end, too
_LONGEST_S = 3600.0
_ALGORITHM = "ES256"

Actions = Literal["pull", "pull,push", "delete,pull,push"]
"""The last is for the service itself, which removes what is no longer kept."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, and when it ends in seconds since 1970."""

    value: str = field(repr=False)
    expires: float


class RegistryTokens:
    """Issues tokens in the form of distribution's token authentication.

    `issuer` and `service` are what the registry's `auth.token` settings say; `lifetime_s` is from 1
    second to an hour. Raises `InvalidError` for others.
    """

    def __init__(
        self,
        home: Home,
        *,
        issuer: str,
        service: str,
        lifetime_s: float = 600.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 1 <= lifetime_s <= _LONGEST_S:
            raise InvalidError(
                f"A registry's token cannot live for {lifetime_s:g} s.",
                hint=f"It is from 1 to {_LONGEST_S:.0f} seconds.",
            )
        self._issuer = issuer
        self._service = service
        self._lifetime = lifetime_s
        self._clock = clock
        kept = home.secret(SECRET, _made).encode("ascii")
        key = serialization.load_pem_private_key(kept, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise InvalidError(
                f"The secret {SECRET} in {home.secrets} is no key of ours.",
                hint="Remove it: a new one is made, and the registry needs its new certificate.",
            )
        self._key = key
        self._certificate = x509.load_pem_x509_certificate(kept)
        self.key_id = _libtrust_id(key.public_key())
        self._show(home.secrets / CERTIFICATE)

    @property
    def certificate(self) -> str:
        """The certificate in PEM, for the registry's `rootcertbundle`. No secret."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    @property
    def jwks(self) -> str:
        """The public key as a JSON Web Key Set, for the registry's `jwks`. No secret."""
        key = jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        key |= {"kid": self.key_id, "use": "sig", "alg": _ALGORITHM}
        return json.dumps({"keys": [key]}, sort_keys=True)

    def issue(
        self, repository: str, actions: Actions, *, save: str, pull_from: Sequence[str] = ()
    ) -> Issued:
        """A token for one repository; `save` is whose it is, as the registry's log shows it.

        `pull_from` are repositories of base images whose layers may be mounted from there. Raises
        `InvalidImageError` for names that are none.
        """
        now = self._clock()
        ends = now + self._lifetime
        others = [(name, ["pull"]) for name in pull_from if name != repository]
        claims = {
            "iss": self._issuer,
            "aud": self._service,
            "sub": save,
            "jti": secrets.token_hex(16),
            "iat": int(now),
            "nbf": int(now) - _SKEW_S,
            "exp": int(ends),
            "access": [
                {"type": "repository", "name": checked_repository(name), "actions": allowed}
                for name, allowed in [(repository, actions.split(",")), *others]
            ],
        }
        token = jwt.encode(claims, self._key, algorithm=_ALGORITHM, headers=self._headers())
        return Issued(token, float(int(ends)))

    def _show(self, place: Path) -> None:
        if not place.exists() or place.read_text("ascii").strip() != self.certificate.strip():
            place.write_text(self.certificate, "ascii")

    def _headers(self) -> dict[str, object]:
        """`kid` for registries that know the key, `x5c` for those that know the certificate.

        docker-registry 2.x takes the one or the other, 3.x only `x5c` for a `rootcertbundle`.
        """
        der = self._certificate.public_bytes(serialization.Encoding.DER)
        return {"kid": self.key_id, "x5c": [base64.b64encode(der).decode("ascii")]}


def _libtrust_id(key: ec.EllipticCurvePublicKey) -> str:
    """The key's id as docker's libtrust writes it: 240 bits of a hash, base32, in twelve groups."""
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = base64.b32encode(sha256(der).digest()[:30]).decode("ascii")
    return ":".join(text[start : start + 4] for start in range(0, len(text), 4))


def _made() -> str:
    """A new key with a certificate of its own, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "atoll registry tokens")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # the registry's clock may be behind
        .not_valid_after(now + timedelta(days=365 * _VALID_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return (private + certificate.public_bytes(serialization.Encoding.PEM)).decode("ascii")
