"""A registry and how it is reached: its address, who we are there, TLS, time limits and sizes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .errors import InvalidImageError
from .image import Digest, checked_digest

_HOST = (
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_ADDRESS = re.compile(rf"(?:{_HOST}|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LONGEST = 255  # characters of registry and repository together (distribution specification 1.1)


@dataclass(frozen=True, slots=True)
class Password:
    """A user and a password, for the registry itself or for its token service."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A bearer token for the registry; `expires` is in seconds since 1970, None where unknown."""

    value: str = field(repr=False)
    expires: float | None = None


TokenSource = Callable[[], AccessToken]
"""Gives a token whenever one is needed: at first, before it expires, and when it was refused."""


@dataclass(frozen=True, slots=True)
class Registry:
    """How to reach a registry; raises `InvalidImageError` for an address that is none."""

    address: str
    """`host` or `host:port`, without a scheme."""
    credentials: Password | TokenSource | None = field(default=None, repr=False)
    plain_http: bool = False
    """Speak HTTP without TLS, to the registry and to what it names; only for trusted networks."""
    ca_file: Path | None = None
    """Certificates (PEM) to trust beside the system's."""
    realms: frozenset[str] = frozenset()
    """Other hosts (`host` or `host:port`) whose token service may see the password."""
    connect: float = 10.0
    """Seconds for a connection."""
    silence: float = 60.0
    """Seconds without a byte, either way, before a connection counts as broken."""
    patience: float = 120.0
    """Seconds for which one request is tried again."""
    waits: Callable[[str], None] | None = field(default=None, repr=False, compare=False)
    """Told why, each time before a request is tried again."""
    backoff: float = 0.25
    """Seconds of the first pause between tries; each further one may be twice as long, 10 s at most."""
    chunk: int = 8 << 20
    """Bytes of one piece of an upload. Less where the registry says that it takes less."""
    replay: int = 32 << 20
    """Bytes of an upload's beginning kept in memory, to begin anew where the registry forgets it."""

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(self.address):
            raise InvalidImageError(
                f"{self.address[:100]!r} is no registry's address.",
                hint="It is host or host:port, without https:// before it.",
            )

    @property
    def origin(self) -> str:
        """`https://host:port`."""
        return f"{'http' if self.plain_http else 'https'}://{self.address}"


@dataclass(frozen=True, slots=True)
class Reference:
    """An image in a registry, as people write it: `host:port/repository:tag@digest`."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """From text with the registry's host in it; raises `InvalidImageError`."""
        rest, _, digest = text.partition("@")
        registry, slash, path = rest.partition("/")
        repository, colon, tag = path.partition(":")
        if not slash or not _ADDRESS.fullmatch(registry) or (colon and not tag):
            raise InvalidImageError(
                f"{text[:200]!r} is no image in a registry.",
                hint="It is written host/repository:tag or host/repository@sha256:….",
            )
        return cls(
            registry,
            checked_repository(repository, registry),
            checked_tag(tag) if tag else None,
            checked_digest(digest) if digest else None,
        )

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"


def checked_repository(name: str, registry: str = "") -> str:
    """`name` as a repository's name; raises `InvalidImageError`."""
    if not _REPOSITORY.fullmatch(name) or len(name) + len(registry) + 1 > _LONGEST:
        raise InvalidImageError(
            f"{name[:100]!r} is no repository's name.",
            hint="Lower-case letters and digits with . _ - between them, in parts divided by /.",
        )
    return name


def checked_tag(name: str) -> str:
    """`name` as a tag; raises `InvalidImageError`."""
    if not _TAG.fullmatch(name):
        raise InvalidImageError(
            f"{name[:150]!r} is no tag.",
            hint="Letters, digits and _ . - with no . or - first, 128 at most.",
        )
    return name
