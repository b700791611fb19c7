"""Decisions about checkpoints as pure functions: what is left out, what to fall back to, what to keep."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from atoll import oci
from atoll.checkpoints.skeleton import PIP_NAMES, PTH

MADE_ANEW: Final = "made anew at each restore"
"""The reason for what is no loss: it is not reported to people."""

_SKELETON: Final = re.compile(
    rb"bin/(?:python[0-9.]*|[aA]ctivate(?:\.\w+)?)|pyvenv\.cfg|lib64|\.gitignore|\.lock"
    rb"|lib/python[0-9.]+/site-packages/(?:__pycache__/)?" + re.escape(PTH.encode())
)
_CACHES: Final = frozenset(
    {b".cache", b".ipynb_checkpoints", b".mypy_cache", b".pytest_cache", b".ruff_cache"}
)
_CORE_DUMP: Final = re.compile(rb"core\.[0-9]+")
_EARLY: Final = 0.25  # of the time between two automatic checkpoints
PIP_PATHS: Final = frozenset(f"bin/{name}".encode() for name in PIP_NAMES)


def left_out(path: bytes) -> str | None:
    """The reason why a path (and all below it) is not saved, None where it is."""
    return MADE_ANEW if _SKELETON.fullmatch(path) else debris(path)


def debris(path: bytes) -> str | None:
    """The reason why a path is not worth saving wherever it lies, None where it may be."""
    name = path.rsplit(b"/", 1)[-1]
    if name in _CACHES:
        return "a cache"
    if name.startswith(b"core.") and _CORE_DUMP.fullmatch(name):
        return "a core dump"
    return None


def bytecode(path: bytes) -> bool:
    """Whether it is compiled Python, which comes by itself: alone it is no change worth saving."""
    return path.endswith(b".pyc") or b"/__pycache__/" in path or path.endswith(b"/__pycache__")


def significant(changes: oci.Changes) -> oci.Changes:
    """The changes without directories, whose times follow their content, and without bytecode."""

    def kept(some: Iterable[oci.Change]) -> tuple[oci.Change, ...]:
        return tuple(
            change
            for change in some
            if change.kind is not oci.Kind.DIRECTORY and not bytecode(change.path)
        )

    return oci.Changes(kept(changes.added), kept(changes.changed), kept(changes.removed))


@dataclass(frozen=True, slots=True)
class Candidate:
    """An environment that a start can begin from; `what` is how people are told of it."""

    digest: str
    what: str


def candidates(wanted: str, checkpoints: Sequence[Candidate], base: str) -> list[Candidate]:
    """What to try in turn: what is wanted, the checkpoints made before it, the base.

    `checkpoints` are newest first. What is newer than the wanted one was set aside on purpose.
    """
    found = [Candidate(wanted, "the environment that was asked for")]
    digests = [candidate.digest for candidate in checkpoints]
    older = checkpoints[digests.index(wanted) + 1 :] if wanted in digests else checkpoints
    for candidate in (*older, Candidate(base, "the base")):
        if candidate.digest not in [known.digest for known in found]:
            found.append(candidate)
    return found


def until_due(server: str, last: datetime, every_s: float, now: datetime) -> float:
    """Seconds until a running server that has changed is saved by itself; `last` is when it last was.

    Each server is up to a quarter of the time early, by a lot drawn anew each time: many that are
    started together are not saved together, and none is later than what was promised.
    """
    lot = sha256(f"{server} {last.timestamp()}".encode()).digest()
    early = _EARLY * int.from_bytes(lot[:4]) / 2**32
    return max(0.0, (1 - early) * every_s - (now - last).total_seconds())


@dataclass(frozen=True, slots=True)
class Keepable:
    """What retention looks at of a final checkpoint; newest first in lists."""

    id: str
    digest: str | None  # None where it failed
    pinned: bool
    repeated: bool  # nothing had changed since the one before
    automatic: bool = False  # nobody asked for it


def expendable(
    checkpoints: Sequence[Keepable], *, keep_last: int, needed: Collection[str]
) -> list[str]:
    """The ids of a server's checkpoints that retention removes: not the last N, pinned or needed.

    An automatic one is none of the N: it goes as soon as a newer one is there, and one that failed
    also as soon as it was tried again.
    """
    gone = []
    kept = repeated = 0
    saved = tried = False
    for checkpoint in checkpoints:
        if checkpoint.automatic:
            superseded = saved or (tried and checkpoint.digest is None)
            if superseded and not checkpoint.pinned and checkpoint.digest not in needed:
                gone.append(checkpoint.id)
            tried = True
            saved = saved or checkpoint.digest is not None
            continue
        if checkpoint.repeated:
            repeated += 1
            if repeated > keep_last and not checkpoint.pinned:
                gone.append(checkpoint.id)
            continue
        saved = saved or checkpoint.digest is not None
        kept += 1
        if kept <= keep_last or checkpoint.pinned or checkpoint.digest in needed:
            continue
        gone.append(checkpoint.id)
    return gone
