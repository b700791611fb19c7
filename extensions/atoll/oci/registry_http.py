"""Requests to one registry: who we are, retries with back-off, redirects, and nothing said twice."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urljoin, urlsplit

import httpx

from .allowance import Cancelled
from .errors import CancelledError, OciError
from .image import MAX_JSON
from .registry_auth import Authorizer, Scopes
from .registry_errors import Answer, RegistryAwayError, RegistryError, is_full, refusal
from .registry_settings import Registry

_PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Answers that may be other ones a little later."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_LONGEST_PAUSE = 10.0  # seconds between tries, unless the registry asks for more
_SLICE = 0.1  # seconds between looks at whether we are to stop
_PIECE = 256 << 10  # bytes given to the socket at once: it copies what it could not send yet
_CONNECTIONS = httpx.Limits(max_connections=8, max_keepalive_connections=4, keepalive_expiry=30)


class Body(httpx.SyncByteStream):
    """Bytes to send, once more whenever they are wanted."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._data), _PIECE):
            yield bytes(self._data[start : start + _PIECE])


class Patience:
    """How long one piece of work is tried again: pauses that grow, an end, and a way to stop it."""

    def __init__(self, registry: Registry, cancelled: Cancelled | None) -> None:
        self._pause = registry.backoff
        self._end = time.monotonic() + registry.patience
        self._waits = registry.waits
        self._cancelled = cancelled

    def check(self) -> None:
        """Raises `CancelledError` where nobody wants the work any more."""
        if self._cancelled is not None and self._cancelled():
            raise CancelledError("The transfer with the registry was stopped.")

    def wait(self, failure: OciError, least: float = 0.0) -> None:
        """Pauses before the next try, `least` seconds or more; raises `failure` where time is up."""
        self.check()
        pause = max(least, self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        if time.monotonic() + pause > self._end:
            raise failure
        if self._waits is not None:
            self._waits(failure.detail)
        until = time.monotonic() + pause
        while (left := until - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, _SLICE))
        self.check()


class Session:
    """Connections to one registry, for one repository's work; safe for threads."""

    def __init__(
        self, registry: Registry, repository: str, *, cancelled: Cancelled | None = None
    ) -> None:
        """Opens no connection yet; raises `RegistryError` for certificates that cannot be read."""
        self.registry = registry
        self.repository = repository
        self.place = f"{registry.address}/{repository}"
        self._cancelled = cancelled
        self._client = httpx.Client(
            verify=_trust(registry),
            timeout=httpx.Timeout(registry.silence, connect=registry.connect, pool=None),
            limits=_CONNECTIONS,
            trust_env=False,  # no proxy, and no password out of a .netrc
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # Harbor wants none
            headers={"user-agent": "atoll", "accept-encoding": "identity"},
        )
        self._authorizer = Authorizer(registry, self._fetch)

    def unwanted(self) -> bool:
        """Whether the caller asked to stop."""
        return self._cancelled is not None and self._cancelled()

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def path(self, kind: str, name: str = "") -> str:
        """The address of something in the repository: `manifests`, `blobs`, `blobs/uploads`, …"""
        return f"{self.registry.origin}/v2/{self.repository}/{kind}/{name}"

    def patience(self, cancelled: Cancelled | None = None) -> Patience:
        """A new allowance of time; `cancelled` is asked instead of the session's own."""
        return Patience(self.registry, cancelled or self._cancelled)

    def request(
        self,
        method: str,
        url: str,
        scopes: Scopes,
        doing: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        patience: Patience | None = None,
    ) -> Answer:
        """The answer, tried until it is more than a passing trouble; may still be a refusal.

        Raises `RegistryAwayError` when time is up, `StoreFullError`, `DeniedError`.
        """
        allowance = patience or self.patience()
        while True:
            failure: OciError | None = None
            least = 0.0
            try:
                answer = self.once(method, url, scopes, headers=headers, content=content)
            except httpx.TransportError as error:
                failure = self.away(error, doing)
            else:
                failure, least = self.passing(answer, doing)
            if failure is None:
                return answer
            allowance.wait(failure, least)

    def passing(self, answer: Answer, doing: str) -> tuple[OciError | None, float]:
        """The error of an answer that may pass, and the seconds to wait; raises `StoreFullError`."""
        if is_full(answer):
            raise refusal(answer, doing, self.place)
        if answer.status not in _PASSING:
            return None, 0.0
        return refusal(answer, doing, self.place), _retry_after(answer)

    def away(self, error: httpx.TransportError, doing: str) -> RegistryAwayError:
        """The error for a connection that could not be made, or broke."""
        reason = str(error) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return RegistryAwayError(
                f"The certificate of {self.registry.address} is not trusted ({reason}).",
                hint="Name a PEM file that has its CA's certificate, and the system's, in the"
                " environment variable SSL_CERT_FILE; in the chart give it as registry.ca.",
            )
        return RegistryAwayError(
            f"The registry {self.registry.address} cannot be reached while {doing} ({reason}).",
            hint="Is it up, and is the address right?",
        )

    def once(
        self,
        method: str,
        url: str,
        scopes: Scopes,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
    ) -> Answer:
        """One answer, with a login where one is wanted; raises `httpx.TransportError` too."""
        with self.opened(method, url, scopes, headers=headers, content=content) as response:
            return _read(response)

    @contextmanager
    def opened(
        self,
        method: str,
        url: str,
        scopes: Scopes,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
    ) -> Iterator[httpx.Response]:
        """The answer before its body is read, after login and redirects."""
        given = dict(headers or {})
        for _ in range(_MOST_REDIRECTS):
            response = self._with_login(method, url, scopes, given, content)
            if response.status_code not in _REDIRECTS:
                try:
                    yield response
                finally:
                    response.close()
                return
            response.close()
            url = self._redirected(method, response)
        raise RegistryError(f"The registry {self.registry.address} redirects without end.")

    def location(self, answer: Answer) -> str:
        """Where an upload goes on: the `Location` of an answer, made absolute."""
        found = answer.headers.get("location")
        if not found:
            raise RegistryError(
                f"The registry {self.registry.address} does not say where to upload to."
            )
        return self.allowed(found, answer.url)

    def forget(self, upload: str, scopes: Scopes) -> None:
        """Ends an upload that nobody needs; the registry does so by itself where this fails."""
        try:
            self.once("DELETE", upload, scopes)
        except (httpx.TransportError, OciError):
            return

    def _with_login(
        self, method: str, url: str, scopes: Scopes, headers: Mapping[str, str], content: bytes
    ) -> httpx.Response:
        ours = _origin(url) == _origin(self.registry.origin)
        sent = self._authorizer.header(scopes) if ours else None
        response = self._send(method, url, headers, content, sent)
        if response.status_code != 401 or not ours:
            return response
        answer = _closed(response)
        token = self._authorizer.challenged(answer, scopes, sent)
        if token is None:
            raise refusal(answer, "the request", self.place)
        response = self._send(method, url, headers, content, token)
        if response.status_code == 401:
            raise refusal(_closed(response), "the request", self.place)
        return response

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes, login: str | None
    ) -> httpx.Response:
        given = dict(headers)
        if login is not None:
            given["authorization"] = login
        if content or method in ("POST", "PUT", "PATCH"):
            given["content-length"] = str(len(content))
        try:
            request = self._client.build_request(
                method, url, headers=given, content=Body(content) if content else None
            )
        except httpx.InvalidURL:
            raise self._unsafe() from None
        return self._client.send(request, stream=True)

    def _redirected(self, method: str, response: httpx.Response) -> str:
        if method not in ("GET", "HEAD"):
            raise RegistryError(
                f"The registry {self.registry.address} wants a {method} sent elsewhere.",
                hint="Is the registry's address right, and does it speak TLS as the settings say?",
            )
        return self.allowed(response.headers.get("location", ""), str(response.url))

    def allowed(self, target: str, base: str = "") -> str:
        """Where a registry sends us, made absolute; raises `RegistryError` where that is not safe.

        Its own host's plain HTTP is a mistake of the proxy before it, and becomes HTTPS.
        """
        own = urlsplit(self.registry.origin)
        try:
            url = urljoin(base, target)
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise self._unsafe() from None
        same = parts.hostname == own.hostname and port in (None, 80, own.port)
        if same and parts.scheme == "http" and own.scheme == "https":
            return parts._replace(scheme="https", netloc=own.netloc).geturl()
        secure = parts.scheme == "https" or (parts.scheme == "http" and self.registry.plain_http)
        if not secure or not parts.hostname or "@" in parts.netloc:
            raise self._unsafe()
        return url

    def _unsafe(self) -> RegistryError:
        return RegistryError(
            f"The registry {self.registry.address} sends us to an address that is not safe.",
            hint="It must use TLS, unless plain HTTP is allowed for this registry.",
        )

    def _fetch(self, url: str, headers: Mapping[str, str]) -> Answer:
        """For the token service: retries, but no login of ours and no redirects."""
        patience = self.patience()
        while True:
            failure: OciError | None = None
            least = 0.0
            try:
                response = self._send("GET", url, headers, b"", None)
                answer = _closed(response)
            except httpx.TransportError as error:
                failure = self.away(error, "getting a token")
            else:
                failure, least = self.passing(answer, "getting a token")
            if failure is None:
                return answer
            patience.wait(failure, least)


@cache
def _system_trust() -> ssl.SSLContext:
    """The system's certificates, read once: it takes longer than a small push."""
    return ssl.create_default_context()


def _trust(registry: Registry) -> ssl.SSLContext:
    if registry.ca_file is None:
        context = _system_trust()
    else:
        context = ssl.create_default_context()
        try:
            context.load_verify_locations(registry.ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise RegistryError(
                f"The certificates in {registry.ca_file} cannot be read.",
                hint="A PEM file with the registry's CA certificate is needed there.",
            ) from error
    return context


def _read(response: httpx.Response) -> Answer:
    """The answer with as much of its body as any document may have."""
    parts, size = [], 0
    for part in response.iter_raw():  # to its end: only then is the connection used again
        parts.append(part)
        size += len(part)
        if size > MAX_JSON:
            break  # one byte more than allowed is enough to refuse it
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, b"".join(parts), str(response.url))


def _closed(response: httpx.Response) -> Answer:
    try:
        return _read(response)
    finally:
        response.close()


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _retry_after(answer: Answer) -> float:
    """The seconds a registry asks for: a number, or a date."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
