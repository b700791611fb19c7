"""A checkpoint in a notebook's hands, and saving one while showing how far it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from atoll.checkpoints import client, models
from atoll.kit import words
from atoll.kit.errors import AtollError, ConflictError
from atoll.kit.names import server_segment
from atoll.kit.notebook import Listing, html_facts
from atoll.kit.progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from atoll.kit.http import Connection
    from atoll.kit.progress import Report

_LOOK_S: Final = 0.2  # a checkpoint with nothing changed takes about as long


class CheckpointError(AtollError):
    """The save did not come about; the sentence says why."""

    status, code, title = 500, "checkpoint_failed", "Not saved"


class Checkpoint:
    """A saved environment. `digest` names it for ever; `changes` is what it has over the base."""

    def __init__(self, connection: Connection, found: models.Checkpoint) -> None:
        self._connection = connection
        self._found = found

    @property
    def id(self) -> str:
        """The checkpoint's id."""
        return self._found.id

    @property
    def status(self) -> str:
        """`ready` once it is saved; asks the platform while that is not final."""
        if not self._found.status.final:
            self._found = self._connection.send(client.checkpoint(self.id))
        return self._found.status.value

    @property
    def digest(self) -> str | None:
        """The environment's digest: give it to `atoll.submit(environment=…)`."""
        return self._found.digest

    @property
    def note(self) -> str:
        """The note it was saved with."""
        return self._found.note

    @property
    def changes(self) -> models.Changes:
        """What it has over the base: packages, and other files by directory."""
        return self._connection.send(client.changes(self.id))

    def restore(self, *, stop: bool = False) -> str:
        """Go back: the server's next start begins from here; `stop` ends it now. Says what happens."""
        found = self._connection.send(client.restore(self.id, stop=stop))
        return found.message or (
            "The server stops, is saved, and starts from this checkpoint next time."
            if stop
            else "The server starts from this checkpoint next time."
        )

    @property
    def user(self) -> str:
        """Whose it is."""
        return self._found.user

    @property
    def shared_with(self) -> list[str]:
        """Who else may start from it: `user:NAME`, `group:NAME`, `everyone`."""
        self._found = self._connection.send(client.checkpoint(self.id))
        return list(self._found.shared_with)

    def share(self, principal: str) -> None:
        """Let `user:NAME`, `group:NAME` or `everyone` start from it."""
        self._found = self._connection.send(client.share(self.id, principal))

    def unshare(self, principal: str) -> None:
        """Share it with them no more; what they started from it stays theirs."""
        self._found = self._connection.send(client.take_back(self.id, principal))

    def rebase(self) -> Checkpoint:
        """Install what it has over the platform's newest base, by a job, and wait for it.

        What comes of it is a checkpoint of its own, whose `left_out` says what could not be brought
        over; this one stays. Raises CheckpointError, ConflictError.
        """
        return Checkpoint(self._connection, rebase(self._connection, self.id))

    @property
    def left_out(self) -> list[models.LeftOut]:
        """What is not in it, and why."""
        return list(self._found.left_out)

    def delete(self) -> None:
        """Delete it; refused where something needs it."""
        self._connection.send(client.delete(self.id))

    def __repr__(self) -> str:
        return f"<Checkpoint {' · '.join(filter(None, row(self._found)))}>"

    def _repr_html_(self) -> str:
        return html_facts("Checkpoint", described(self._found))


_BY: Final = {
    models.Trigger.STOP: "stop",
    models.Trigger.USER: "you",
    models.Trigger.JOB: "job",
    models.Trigger.REBASE: "rebase",
    models.Trigger.AUTOMATIC: "itself",
}
HEADINGS: Final = ("Saved", "Note", "Status", "By", "Changes", "Size", "ID")


def row(found: models.Checkpoint) -> tuple[str, ...]:
    """A checkpoint as a line of a table under HEADINGS."""
    return (
        words.ago(found.created_at),
        _noted(found),
        ("current" if found.current else found.status.value),
        _BY[found.trigger],
        f"+{found.changes.count}" if found.changes else "",
        words.size(found.size) if found.status is models.CheckpointStatus.READY else "",
        found.id,
    )


def _noted(found: models.Checkpoint) -> str:
    """Its note; for what is not saved, why and at which place it waits, too."""
    note = found.note + (" (pinned)" if found.pinned else "")
    if found.status is models.CheckpointStatus.READY or not found.message:
        return note
    return f"{note}: {found.message}" if note else found.message


SHARED_HEADINGS: Final = ("Owner", "Saved", "Note", "Changes", "Size", "Digest")


def shared_row(found: models.Checkpoint) -> tuple[str, ...]:
    """Somebody else's checkpoint as a line of a table under SHARED_HEADINGS."""
    changes = f"+{found.changes.count}" if found.changes else ""
    saved, size = words.ago(found.created_at), words.size(found.size)
    return (found.user, saved, found.note, changes, size, found.digest or "")


def described(found: models.Checkpoint) -> list[tuple[str, str | None]]:
    """A checkpoint as facts for people."""
    return [
        ("Note", found.note),
        ("Status", found.status.value + (", what the server continues from" * found.current)),
        ("Why", found.message),
        ("Server", f"{found.user}/{server_segment(found.server)}"),
        ("Saved", _saved(found)),
        ("Packages", _packages(found)),
        ("Size", f"{words.size(found.size)} over the base, {words.size(found.layer_size)} new"),
        ("Base", found.base_name),
        ("Platform", found.platform_version),
        ("Too old", found.too_old),
        ("Job", found.job),
        ("Left out", "; ".join(f"{left.path}: {left.reason}" for left in found.left_out) or None),
        ("Pinned", "yes" if found.pinned else None),
        ("Shared with", ", ".join(found.shared_with) or None),
        ("Digest", found.digest),
        ("ID", found.id),
    ]


def _saved(found: models.Checkpoint) -> str:
    by_itself = found.trigger is models.Trigger.AUTOMATIC
    return words.ago(found.finished_at or found.created_at) + ", by itself" * by_itself


def _packages(found: models.Checkpoint) -> str | None:
    return ", ".join(map(package, found.changes.packages)) if found.changes else None


def package(change: models.Package) -> str:
    """A changed package in a few signs: `+ polars 2.1`, `↑ pandas 3.0.1 → 3.0.2`, `- xgboost`."""
    if change.before is None:
        return f"+ {change.name} {change.after}"
    if change.after is None:
        return f"- {change.name} {change.before}"
    return f"↑ {change.name} {change.before} → {change.after}"


def listing(connection: Connection, found: Iterable[models.Checkpoint]) -> Listing[Checkpoint]:
    """Checkpoints as a list that a notebook shows as a table."""
    return Listing(
        (Checkpoint(connection, item) for item in found),
        headings=HEADINGS,
        row=lambda checkpoint: row(checkpoint._found),
        empty="Nothing is saved yet: stop the server, or call atoll.checkpoint().",
    )


def save(
    connection: Connection, server: str | None, note: str, *, quiet: bool = False
) -> models.Checkpoint:
    """Save a server and wait for it, with progress; the calling server where none is named.

    Raises CheckpointError where the save failed, ConflictError where it was refused.
    """
    request = models.CheckpointRequest(note=note)
    if server is not None:
        request = models.CheckpointRequest(note=note, server=server_segment(server))
    return _waited(connection, connection.send(client.save(request)), quiet=quiet)


def rebase(connection: Connection, id_: str) -> models.Checkpoint:
    """Have a checkpoint rebased and wait for what comes of it. Raises as `save`."""
    return _waited(connection, connection.send(client.rebase(id_)), quiet=False)


def _waited(connection: Connection, found: models.Checkpoint, *, quiet: bool) -> models.Checkpoint:
    with progress(quiet=quiet) as report:
        while not found.status.final:
            _tell(found, report)
            time.sleep(_LOOK_S)
            found = connection.send(client.checkpoint(found.id))
    if found.status is models.CheckpointStatus.REFUSED:
        raise ConflictError(found.message or "The save was refused.")
    if found.status is models.CheckpointStatus.FAILED:
        raise CheckpointError(
            found.message or "The save failed.", hint="What was saved before is as it was."
        )
    return found


def _tell(found: models.Checkpoint, report: Report) -> None:
    if found.trigger is models.Trigger.REBASE:
        report(found.message or "rebasing", None)
        return
    done = found.progress
    share = min(1.0, done.done / done.total) if done.total else None
    amount = f": {words.size(done.done)} of {words.size(done.total)}" if done.total else ""
    report(f"saving your environment{amount}", share)
