"""Who we are at a registry: its challenge, tokens and their renewal, and where no password may go."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from .registry_errors import Answer, DeniedError, RegistryError, refusal
from .registry_settings import AccessToken, Password, Registry, TokenSource

Scopes = tuple[str, ...]
"""What a request needs, as token services know it: `repository:NAME:pull,push`."""
Fetch = Callable[[str, Mapping[str, str]], Answer]
"""Gets an address with these headers and no others of ours, with the usual retries, no redirects."""

_CHALLENGE = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))\s*(?:,|$)')
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")  # RFC 6750: whatever else could add a header
_LIFETIME = 60.0  # seconds of a token that does not say (distribution's token specification)
_EARLY = 10.0  # seconds before its end that a token is renewed, or a tenth of its life where less


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a registry asks for in `WWW-Authenticate`."""

    scheme: str  # `basic` or `bearer`
    realm: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True)
class _Held:
    value: str = field(repr=False)
    until: float  # by the monotonic clock


def challenge_of(header: str) -> Challenge | None:
    """The challenge of a `WWW-Authenticate` header; None for schemes that we do not speak."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() not in ("basic", "bearer"):
        return None
    values: dict[str, str] = {}
    while found := _CHALLENGE.match(rest):
        quoted, plain = found[2], found[3]
        values[found[1].lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        rest = rest[found.end() :]
    return Challenge(scheme.lower(), values.get("realm", ""), values.get("service", ""))


class Authorizer:
    """Gives the `Authorization` header for requests to one registry; safe for threads."""

    def __init__(
        self, registry: Registry, fetch: Fetch, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry = registry
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None
        self._tokens: dict[Scopes, _Held] = {}

    def header(self, scopes: Scopes) -> str | None:
        """What to send at once: a token that is good, or nothing before the first challenge."""
        with self._lock:
            if callable(self._registry.credentials):
                return f"Bearer {self._given(self._registry.credentials, refused=None)}"
            if self._challenge is None:
                return None
            return self._answer(self._challenge, scopes)

    def challenged(self, answer: Answer, scopes: Scopes, sent: str | None) -> str | None:
        """What to send after the registry answered 401 to `sent`; None where there is nothing more.

        Raises `DeniedError` where the token service refuses, or may not be asked.
        """
        with self._lock:
            if callable(self._registry.credentials):
                refused = (sent or "").removeprefix("Bearer ")
                token = f"Bearer {self._given(self._registry.credentials, refused)}"
                return None if token == sent else token
            challenge = challenge_of(answer.headers.get("www-authenticate", ""))
            if challenge is None or (challenge.scheme == "basic" and sent is not None):
                return None
            self._challenge = challenge
            held = self._tokens.get(scopes)
            if held is not None and f"Bearer {held.value}" == sent:
                del self._tokens[scopes]  # it was refused: expired early, or not enough
            return self._answer(challenge, scopes)

    def _answer(self, challenge: Challenge, scopes: Scopes) -> str | None:
        if challenge.scheme == "basic":
            return _basic(self._registry.credentials)
        held = self._tokens.get(scopes)
        if held is None or self._clock() >= held.until:
            held = self._tokens[scopes] = self._fetched(challenge, scopes)
        return f"Bearer {held.value}"

    def _given(self, source: TokenSource, refused: str | None) -> str:
        """A token of the caller's own source."""
        held = self._tokens.get(())
        if held is None or self._clock() >= held.until or held.value == refused:
            token: AccessToken = source()
            lifetime = _LIFETIME if token.expires is None else token.expires - time.time()
            held = self._tokens[()] = self._hold(token.value, lifetime)
        return held.value

    def _fetched(self, challenge: Challenge, scopes: Scopes) -> _Held:
        target, headers = self._realm(challenge)
        query = [("scope", scope) for scope in scopes]
        if challenge.service:
            query.insert(0, ("service", challenge.service))
        separator = "&" if "?" in target else "?"
        answer = self._fetch(f"{target}{separator}{urlencode(query)}", headers)
        host = urlsplit(target).netloc
        if answer.status in (401, 403):
            raise DeniedError(
                f"The token service at {host} does not accept us for {' '.join(scopes)}.",
                hint="Are the user and password of the login right, and may they do this?",
            )
        if not answer.good:
            raise refusal(answer, "getting a token", host)
        return self._hold(*_token_of(answer, host))

    def _hold(self, value: str, lifetime: float) -> _Held:
        if not _TOKEN.fullmatch(value):
            raise RegistryError("The registry's token service gave something that is no token.")
        return _Held(value, self._clock() + lifetime - min(_EARLY, lifetime / 10))

    def _realm(self, challenge: Challenge) -> tuple[str, dict[str, str]]:
        """The token service's address, and the password's header where it may be sent there."""
        try:
            parts = urlsplit(challenge.realm)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
            raise RegistryError("The registry names no valid address for its token service.")
        if parts.scheme == "http" and not self._registry.plain_http:
            raise DeniedError(
                f"The registry wants us to get a token at {parts.netloc} over plain HTTP.",
                hint="Have its token service use TLS, or allow plain HTTP for this registry.",
            )
        header = _basic(self._registry.credentials)
        if header is None:
            return challenge.realm, {}
        if parts.netloc not in self._registry.realms | {self._registry.address}:
            raise DeniedError(
                f"The registry {self._registry.address} wants its password sent to another host: "
                f"{parts.netloc}.",
                hint="A login goes to the registry's own address alone: take one whose token service is"
                " there, or log out of this one where it lets everybody read.",
            )
        return challenge.realm, {"authorization": header}


def _basic(credentials: object) -> str | None:
    if not isinstance(credentials, Password):
        return None
    pair = f"{credentials.user}:{credentials.password}".encode()
    return "Basic " + base64.b64encode(pair).decode()


def _token_of(answer: Answer, host: str) -> tuple[str, float]:
    """The token and its lifetime in seconds."""
    try:
        document = json.loads(answer.content)
    except (ValueError, RecursionError):
        document = None
    found = document if isinstance(document, dict) else {}
    token = found.get("token") or found.get("access_token")
    if not isinstance(token, str):
        raise RegistryError(f"The token service at {host} gave no token.")
    lifetime = found.get("expires_in")
    if isinstance(lifetime, int | float) and not isinstance(lifetime, bool) and lifetime > 0:
        return token, float(lifetime)
    return token, _LIFETIME


def scopes_for(repository: str, actions: str, others: Sequence[str] = ()) -> Scopes:
    """The scopes for `actions` (`pull`, `pull,push`) on one repository and `pull` on others."""
    return (
        f"repository:{repository}:{actions}",
        *(f"repository:{other}:pull" for other in others),
    )
