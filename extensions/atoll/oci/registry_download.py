"""A blob's bytes out of a registry, read as they come; a broken connection goes on where it was."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

import httpx

from .errors import MissingError, OciError
from .image import Digest
from .registry_auth import Scopes
from .registry_errors import Answer, RegistryError, refusal
from .registry_http import Session

_DOING = "reading a blob"


class BlobStream(io.RawIOBase):
    """Raw bytes of one blob; `read(n)` gives at most n, and nothing at the end."""

    def __init__(self, session: Session, digest: Digest, scopes: Scopes) -> None:
        """Opens it; raises `MissingError`, `RegistryAwayError`, `DeniedError`."""
        super().__init__()
        self._session = session
        self._digest = digest
        self._scopes = scopes
        self._at = 0
        self._left = b""
        self._stack = ExitStack()
        self._parts = self._opened()

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, fewer where no more have arrived; all that is left for -1."""
        if size < 0:
            return self.readall()
        if not self._left:
            self._left = self._more()
        given, self._left = self._left[:size], self._left[size:]
        return given

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """For wrappers; `read` copies less."""
        given = self.read(len(buffer))
        buffer[: len(given)] = given
        return len(given)

    def close(self) -> None:
        """Ends the connection's use."""
        self._stack.close()
        super().close()

    def _more(self) -> bytes:
        """The next bytes from the connection, or from a new one where it broke."""
        patience = self._session.patience()
        while True:
            try:
                part = next(self._parts, b"")
            except httpx.TransportError as error:
                patience.wait(self._session.away(error, _DOING))
                self._stack.close()
                self._parts = self._opened()
                continue
            patience.check()
            self._at += len(part)
            return part

    def _opened(self) -> Iterator[bytes]:
        """The bytes from `_at` on."""
        patience = self._session.patience()
        while True:
            least = 0.0
            try:
                return self._asked()
            except httpx.TransportError as error:
                failure: OciError = self._session.away(error, _DOING)
            except _PassingError as passing:
                failure, least = passing.failure, passing.least
            patience.wait(failure, least)

    def _asked(self) -> Iterator[bytes]:
        headers = {"range": f"bytes={self._at}-"} if self._at else {}
        opening: AbstractContextManager[httpx.Response] = self._session.opened(
            "GET", self._session.path("blobs", self._digest), self._scopes, headers=headers
        )
        with ExitStack() as stack:
            response = stack.enter_context(opening)
            if response.status_code == 416 and self._at:
                return iter(())  # it broke right at the end
            if response.status_code not in (200, 206):
                self._refused(response)
            skipped = self._at
            if response.status_code == 206:
                skipped -= _first(response)
            if skipped < 0:
                raise RegistryError("The registry left a gap in the middle of a blob.")
            parts = response.iter_raw()
            if skipped:
                parts = _skip(parts, skipped)  # it began anew, or earlier
            self._stack = stack.pop_all()
            return parts

    def _refused(self, response: httpx.Response) -> None:
        content = b"".join(response.iter_raw())[:8192]
        headers = dict(response.headers)
        answer = Answer(response.status_code, headers, content, str(response.url))
        if answer.status == 404:
            raise MissingError(
                f"The registry has no {self._digest} ({self._session.place}).",
                hint="It was deleted, or the image was never complete.",
            )
        failure, least = self._session.passing(answer, _DOING)
        if failure is None:
            raise refusal(answer, _DOING, self._session.place)
        raise _PassingError(failure, least)


class _PassingError(Exception):
    def __init__(self, failure: OciError, least: float) -> None:
        super().__init__()
        self.failure = failure
        self.least = least


def _first(response: httpx.Response) -> int:
    """Where a part begins: `bytes 100-199/200`."""
    unit, _, span = response.headers.get("content-range", "").partition(" ")
    start = span.partition("-")[0]
    if unit != "bytes" or not start.isdecimal():
        raise RegistryError("The registry gave a part of a blob without saying which.")
    return int(start)


def _skip(parts: Iterator[bytes], size: int) -> Iterator[bytes]:
    """`parts` without the first `size` bytes."""
    for part in parts:
        if size < len(part):
            yield part[size:]
        size = max(0, size - len(part))
