"""What can go wrong with a registry, and what its answers mean, as errors with a sentence and a hint."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .errors import DigestError, MissingError, OciError, StoreFullError

_FULL = re.compile(
    r'no space left|disk quota exceeded|insufficient storage|disk is full|"Err":\s*(?:28|122)\b',
    re.I,
)
"""What storage below a registry says, passed on as a 500 (docker-registry 2.8: Linux's error numbers)."""
_QUOTA = re.compile(r"quota|too many tags|storage limit", re.I)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SAID = 300  # characters of a registry's own words that are passed on


class RegistryError(OciError):
    """A registry gave an answer that does not fit what it was asked."""


class RegistryAwayError(RegistryError):
    """A registry cannot be reached, or gave no good answer for as long as we try."""


class DeniedError(RegistryError):
    """A registry, or its token service, does not accept who we are or what we want to do."""


class UnsupportedError(RegistryError):
    """A registry does not offer, or does not allow, what it was asked for."""


class UploadLostError(RegistryError):
    """A registry forgot an upload that cannot be sent again from here: the save must be repeated."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A registry's answer, read to its end (or to the limit that was asked for)."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    content: bytes
    url: str  # where the answer came from

    @property
    def good(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status < 300

    def problems(self) -> Iterator[tuple[str, str]]:
        """The code and the words of each error in the body; nothing for a body of another form."""
        try:
            document = json.loads(self.content)
        except (ValueError, RecursionError):
            return
        items = document.get("errors") if isinstance(document, dict) else None
        for item in items if isinstance(items, list) else []:
            if isinstance(item, dict):
                words = (item.get("message"), item.get("detail"))
                yield str(item.get("code", "")), " ".join(_words(word) for word in words if word)

    def has(self, *codes: str) -> bool:
        """Whether one of the body's errors has one of these codes."""
        return any(code in codes for code, _ in self.problems())


def _words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def is_full(answer: Answer) -> bool:
    """Whether the registry says that its storage is full."""
    return answer.status == 507 or (
        answer.status >= 500 and bool(_FULL.search(answer.content[:8192].decode(errors="replace")))
    )


def refusal(answer: Answer, doing: str, place: str) -> OciError:
    """The error for an answer that is no success; `doing` is what was tried, `place` the repository."""
    if is_full(answer):
        return StoreFullError(
            f"No room is left in the registry while {doing} ({place}){_said(answer)}",
            hint="Free space in the registry's storage, or delete images and collect its garbage.",
        )
    if answer.has("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"):
        return MissingError(
            f"The registry has not all parts of the image: {_named(answer)} ({place}).",
            hint="It was deleted while the image was made. Save again.",
        )
    if answer.has("DIGEST_INVALID"):
        return DigestError(
            f"The registry received other bytes than were sent while {doing} ({place}).",
            hint="Try again; if it stays so, something between here and the registry is broken.",
        )
    if answer.status in (401, 403) or answer.has("DENIED", "UNAUTHORIZED"):
        return _denied(answer, doing, place)
    return _other(answer, doing, place)


def _other(answer: Answer, doing: str, place: str) -> OciError:
    said = _said(answer)
    if answer.status == 404:
        return MissingError(
            f"The registry knows nothing of it while {doing} ({place}){said}",
            hint="Was it deleted? Is the repository's name right?",
        )
    if answer.status == 405 or answer.has("UNSUPPORTED"):
        return UnsupportedError(
            f"The registry does not allow {doing} ({place}){said}",
            hint="The registry's own settings decide this (for deleting: storage.delete.enabled).",
        )
    if answer.status in (408, 429) or answer.status >= 500:
        return RegistryAwayError(
            f"The registry is in trouble: it answered {answer.status} while {doing} ({place}){said}",
            hint="Look at the registry's own log.",
        )
    return RegistryError(
        f"The registry answered {answer.status} while {doing} ({place}){said}",
        hint="Look at the registry's own log.",
    )


def _denied(answer: Answer, doing: str, place: str) -> DeniedError:
    said = _said(answer)
    if _QUOTA.search(said):
        return DeniedError(
            f"The registry's quota is used up while {doing} ({place}){said}",
            hint="Delete images there, or have the quota raised.",
        )
    if answer.status == 401:
        return DeniedError(
            f"The registry wants to know who we are before {doing} ({place}){said}",
            hint="Log in to it with `docker login` or `podman login`; the platform's own registry must"
            " have the platform as its token issuer.",
        )
    return DeniedError(
        f"The registry does not allow {doing} ({place}){said}",
        hint="Is the repository's name right, and may this account push there?",
    )


def _said(answer: Answer) -> str:
    """`: the registry's words.`, printable, not too long; a full stop where it says nothing."""
    words = "; ".join(" ".join(part for part in problem if part) for problem in answer.problems())
    text = "".join(sign if sign.isprintable() else "?" for sign in words)[:_SAID].strip()
    return f": {text.rstrip('.')}." if text else "."


def _named(answer: Answer) -> str:
    """The digests that a registry names in its errors."""
    found = _DIGEST.findall(answer.content.decode(errors="replace"))
    return ", ".join(dict.fromkeys(found)) or "it does not say which"
