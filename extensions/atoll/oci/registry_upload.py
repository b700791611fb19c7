"""A blob on its way into a registry: sent in pieces while it is written, resumed, never spooled."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from queue import Queue

import httpx

from .errors import DigestError, OciError
from .image import Digest
from .registry_auth import Scopes
from .registry_errors import Answer, RegistryError, UploadLostError, refusal
from .registry_http import Patience, Session

_WAITING = 1  # pieces ready beside the one being sent and the one being filled
_RESTARTS = 3  # times that an upload is begun anew, where its beginning is still at hand
_LARGEST = 128 << 20  # bytes of a piece that we keep in memory, whatever a registry asks for
_SMALL = 4 << 20  # bytes that every registry takes in one request (GitHub's takes no more)
_SPAN = re.compile(r"(?:bytes=)?0-(-?\d{1,18})")
_GONE = ("BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "RANGE_INVALID")
_BYTES = "application/octet-stream"
_DOING = "uploading a blob"


class _Upload:
    """One upload in the registry: what it has so far, and where the next bytes go."""

    def __init__(self, session: Session, scopes: Scopes, patience: Callable[[], Patience]) -> None:
        self._session = session
        self._scopes = scopes
        self._patience = patience
        self._location = ""  # none has begun, or it is finished
        self._at = 0
        self._most: int | None = None  # bytes of a request, where the registry showed a limit
        self.least = 0  # bytes of a piece, where the registry asks for so many

    def begin(self) -> None:
        """A new upload, in place of the one before; raises `DeniedError`, `RegistryAwayError`."""
        self.cancel()
        answer = self._session.request(
            "POST", self._session.path("blobs/uploads"), self._scopes, _DOING,
            patience=self._patience(),
        )  # fmt: skip
        if answer.status not in (201, 202):
            raise refusal(answer, _DOING, self._session.place)
        self._location, self._at = self._session.location(answer), 0
        least = answer.headers.get("oci-chunk-min-length", "")
        self.least = min(int(least[:18]), _LARGEST) if least.isdecimal() else 0

    def send(self, data: bytes) -> None:
        """Appends bytes; raises `UploadLostError` where the registry no longer knows the upload."""
        if not self._location:
            self.begin()
        patience, end, stuck = self._patience(), self._at + len(data), False
        while self._at < end:
            piece = data[len(data) - (end - self._at) :][: self._most]
            before, most = self._at, self._most
            failure, least = self._patch(piece)
            if self._at > end:
                raise self._lost("it has more bytes than were sent")
            if failure is None and self._at == before and self._most == most:
                failure = self._stuck()
                if stuck:
                    raise failure
                stuck = True
            if failure is not None:
                patience.wait(failure, least)

    def finish(self, digest: Digest, size: int) -> None:
        """Makes the upload a blob; raises `UploadLostError`, `DigestError`."""
        patience = self._patience()
        while True:
            failure: OciError | None = None
            least = 0.0
            try:
                answer = self._put(digest, b"")
            except httpx.TransportError as error:
                failure = self._session.away(error, _DOING)
            else:
                failure, least = self._session.passing(answer, _DOING)
                if failure is None:
                    return self._finished(answer, digest)
            patience.wait(failure, least)
            if has_blob(self._session, self._scopes, digest, size):
                return None  # only the answer was lost
            self._ask()
            if self._at != size:
                raise self._lost("it has not all bytes any more")

    def whole(self, data: bytes, digest: Digest) -> None:
        """A blob of one piece, begun anew where anything goes wrong."""
        patience = self._patience()
        while True:
            failure: OciError | None = None
            least = 0.0
            if not self._location:
                self.begin()
            try:
                answer = self._put(digest, data)
            except httpx.TransportError as error:
                failure = self._session.away(error, _DOING)
            else:
                failure, least = self._session.passing(answer, _DOING)
                if failure is None and not _gone(answer):
                    return self._finished(answer, digest)
            patience.wait(failure or self._lost("it forgot it at once"), least)
            if has_blob(self._session, self._scopes, digest, len(data)):
                return None
            self.cancel()

    def cancel(self) -> None:
        """Tells the registry that nothing more comes; it forgets by itself where that fails."""
        location, self._location = self._location, ""
        if location:
            self._session.forget(location, self._scopes)

    def _patch(self, piece: bytes) -> tuple[OciError | None, float]:
        """Sends a piece; moves on by what the registry took. An error that may pass, and a wait."""
        headers = {
            "content-type": _BYTES,
            "content-range": f"{self._at}-{self._at + len(piece) - 1}",
        }
        try:
            answer = self._session.once(
                "PATCH", self._location, self._scopes, headers=headers, content=piece
            )
        except httpx.TransportError as error:
            self._ask()
            return self._session.away(error, _DOING), 0.0
        if answer.good:
            self._location = self._session.location(answer)
            self._at = _offset(answer, otherwise=self._at + len(piece))
            return None, 0.0
        failure, least = self._session.passing(answer, _DOING)
        if failure is not None:
            self._ask()
            return failure, least
        if self._too_large(answer, piece):
            return None, 0.0
        if _gone(answer):
            raise self._lost(f"it answered {answer.status}")
        raise refusal(answer, _DOING, self._session.place)

    def _too_large(self, answer: Answer, piece: bytes) -> bool:
        """Whether smaller pieces may be taken; then they are used from here on."""
        most = max(_SMALL, self.least)
        if answer.status not in (413, 416) or len(piece) <= most:
            return False
        before = self._at
        self._ask()
        self._most = most
        return self._at >= before

    def _ask(self) -> None:
        """Asks how much the registry has."""
        answer = self._session.request(
            "GET", self._location, self._scopes, _DOING, patience=self._patience()
        )
        if not answer.good:
            raise self._lost(f"it answered {answer.status}")
        if answer.headers.get("location"):
            self._location = self._session.location(answer)
        found = _offset(answer, otherwise=self._at)
        if found < self._at and not (found <= 1 and self._at == 0):
            raise self._lost("it has fewer bytes than it said")
        self._at = found if found > 1 or self._at else 0  # `0-0` is said for nothing, too

    def _put(self, digest: Digest, data: bytes) -> Answer:
        separator = "&" if "?" in self._location else "?"
        return self._session.once(
            "PUT",
            f"{self._location}{separator}digest={digest}",
            self._scopes,
            headers={"content-type": _BYTES},
            content=data,
        )

    def _finished(self, answer: Answer, digest: Digest) -> None:
        if _gone(answer):
            raise self._lost(f"it answered {answer.status}")
        if not answer.good:
            raise refusal(answer, _DOING, self._session.place)
        checked_answer(self._session, answer, digest)
        self._location = ""

    def _stuck(self) -> RegistryError:
        return RegistryError(
            f"The registry took a piece of a blob, but says that it has no more ({self._session.place}).",
            hint="It does not keep to the specification for uploads in pieces; use another registry.",
        )

    def _lost(self, why: str) -> UploadLostError:
        return UploadLostError(
            f"The registry lost an upload after {self._at:,} bytes ({self._session.place}): {why}.",
            hint="Save again: the upload begins anew, and nothing that was saved before is lost.",
        )


class RegistryWriter:
    """A `BlobWriter`: pieces go out in a thread beside, one after the other, while more are written.

    `write` waits where the registry is slower. At most three pieces are in memory, and the upload's
    first bytes (`Registry.replay`) for beginning anew. What fails comes out at the next call.
    """

    def __init__(self, session: Session, scopes: Scopes) -> None:
        self._session = session
        self._scopes = scopes
        self._stopped = threading.Event()
        self._upload = _Upload(session, scopes, lambda: session.patience(self._unwanted))
        self._parts: list[bytes] = []
        self._pending = 0
        self._size = 0
        self._kept: list[bytes] | None = []
        self._queue: Queue[bytes | None] = Queue(_WAITING)
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._done = False
        self._chunk = session.registry.chunk
        self._begun = False

    def write(self, data: bytes) -> None:
        """Appends bytes; raises what went wrong with those before."""
        self._raise()
        self._size += len(data)
        if self._pending + len(data) > self._chunk and not self._begun:
            self._begun = True
            self._upload.begin()
            self._chunk = max(self._chunk, self._upload.least)
        while self._pending + len(data) > self._chunk:
            cut = self._chunk - self._pending
            piece = b"".join((*self._parts, data[:cut]))
            data = data[cut:]
            self._parts, self._pending = [], 0
            self._hand_over(piece)
        self._parts.append(data)
        self._pending += len(data)

    def commit(self, digest: Digest) -> None:
        """Makes the blob, whose bytes have this digest, part of the registry, and looks it up there."""
        last = b"".join(self._parts)
        if self._thread is None:
            self._upload.whole(last, digest)
        else:
            if last:
                self._hand_over(last)
            self._end()
            self._raise()
            self._finish(digest)
        self._done = True
        if not has_blob(self._session, self._scopes, digest, self._size):
            raise DigestError(
                f"The registry took {digest}, but does not have it ({self._session.place}).",
                hint="Save again; if it stays so, its storage does not keep what it takes.",
            )

    def abort(self) -> None:
        """Throws away what was written; nothing to do after `commit`. Waits for a piece on its way."""
        if not self._done:
            self._done = True
            self._stopped.set()
            self._end()
            self._upload.cancel()

    def _unwanted(self) -> bool:
        return self._stopped.is_set() or self._session.unwanted()

    def _hand_over(self, piece: bytes) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="registry-upload", daemon=True)
            self._thread.start()
        self._queue.put(piece)
        self._raise()

    def _end(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (piece := self._queue.get()) is not None:
            if self._error is not None or self._stopped.is_set():
                continue  # keep taking pieces, so that nobody waits for room in the queue
            try:
                self._deliver(piece)
            except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
                self._error = error

    def _deliver(self, piece: bytes) -> None:
        if self._kept is not None:
            self._kept.append(piece)
            if sum(map(len, self._kept)) > self._session.registry.replay:
                self._kept = None
        try:
            self._upload.send(piece)
        except UploadLostError as lost:
            self._again(lost)

    def _finish(self, digest: Digest) -> None:
        for _ in range(_RESTARTS):
            try:
                return self._upload.finish(digest, self._size)
            except UploadLostError as lost:
                if has_blob(self._session, self._scopes, digest, self._size):
                    return None  # it was finished; only the answer was lost
                self._again(lost)
        return self._upload.finish(digest, self._size)

    def _again(self, lost: UploadLostError) -> None:
        """Begins anew and sends all that was sent; raises `lost` where that is no longer at hand."""
        for _ in range(_RESTARTS):
            if self._kept is None:
                break
            self._upload.begin()
            try:
                for piece in self._kept:
                    self._upload.send(piece)
            except UploadLostError as error:
                lost = error
            else:
                return
        raise lost


def has_blob(session: Session, scopes: Scopes, digest: Digest, size: int | None = None) -> bool:
    """Whether the registry has the blob; raises `DigestError` where it has another size."""
    doing = "looking for a blob"
    answer = session.request("HEAD", session.path("blobs", digest), scopes, doing)
    if answer.status == 404:
        return False
    if not answer.good:
        raise refusal(answer, doing, session.place)
    length = answer.headers.get("content-length", "")
    if size is not None and length.isdecimal() and int(length) != size:
        raise DigestError(
            f"The registry has {digest} with {length} bytes instead of {size} ({session.place}).",
            hint="Its storage is damaged. Delete that blob there, then save again.",
        )
    checked_answer(session, answer, digest)
    return True


def checked_answer(session: Session, answer: Answer, digest: Digest) -> None:
    """Raises `DigestError` where a registry names another digest than that of what was sent."""
    said = answer.headers.get("docker-content-digest", digest)
    if said != digest:
        raise DigestError(
            f"The registry says that it has {said[:80]} instead of {digest} ({session.place}).",
            hint="Something between here and the registry changes what is sent; save again.",
        )


def _gone(answer: Answer) -> bool:
    return answer.status == 404 or (answer.status in (400, 416) and answer.has(*_GONE))


def _offset(answer: Answer, *, otherwise: int) -> int:
    """How many bytes the registry has: one more than the end of its `Range`, which is inclusive."""
    found = _SPAN.fullmatch(answer.headers.get("range", "").strip())
    return int(found[1]) + 1 if found else otherwise
