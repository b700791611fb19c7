"""What is no longer needed goes: checkpoints by policy, then images and blobs that nothing names."""

from __future__ import annotations

import logging
from collections.abc import Set
from contextlib import suppress

from sqlalchemy.orm import Session

from atoll import oci
from atoll.checkpoints import needs, policy, sharing, store
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import CheckpointStatus, Trigger
from atoll.kit.errors import ConflictError

log = logging.getLogger(__name__)


def apply(ground: Ground, server_id: str) -> None:
    """Remove a server's checkpoints beyond the last N that nobody pinned, shared or holds."""
    with ground.database.read() as session:
        rows = store.of_server(session, server_id)
        if not _expendable(ground, session, rows, needs.digests_held(session)):
            return
    _remove(ground, server_id)
    collect(ground)


def sweep(ground: Ground) -> None:
    """Apply it to all servers: some saves were written down by who was killed before this.

    Then remove what those and failed saves left in the store.
    """
    with ground.database.read() as session:
        held = needs.digests_held(session)
        due = [
            server
            for server in store.servers_with_history(session)
            if _expendable(ground, session, store.of_server(session, server), held)
        ]
    for server in due:
        _remove(ground, server)
    collect(ground)


def _remove(ground: Ground, server_id: str) -> None:
    """Remove a server's expendable checkpoints; not their images."""
    with ground.database.write() as session:
        rows = store.of_server(session, server_id)
        gone = set(_expendable(ground, session, rows, needs.digests_held(session)))
        store.delete_checkpoints(session, [row for row in rows if row.id in gone])


def collect(ground: Ground) -> None:
    """Remove images that nothing names any more, and the blobs that were theirs alone.

    Where the store is damaged nothing is removed, and the log says so.

    A hold is written in a transaction that finds the environment named; images are unlisted in one
    that finds it unnamed. Writers take turns, so neither overtakes the other. Blobs of saves in
    flight are younger than the store's grace time.
    """
    try:
        with ground.database.write() as session:
            needed = needs.digests_needed(session) | {ground.base}
            working = {row.id for row in store.working_checkpoints(session)}
            for image in ground.images.images():
                base = image.name.startswith("base-")
                if image.digest in needed or image.name in working or base:
                    continue
                with suppress(oci.MissingError):  # listed twice, and unlisted by now
                    ground.images.delete(image.digest)
        gone = ground.images.collect(keep=needed)
    except oci.OciError as error:
        log.warning("nothing is removed from the image store: %s", error)
        return
    if gone.blobs:
        log.info("removed %d blobs, %d bytes, from the image store", gone.blobs, gone.size)


def check_deletable(session: Session, row: store.CheckpointRow, repeats: set[str]) -> None:
    """Raise ConflictError, which says by whom it is needed, where somebody needs this checkpoint."""
    server = session.get_one(store.ServerRow, row.server_id)
    if not CheckpointStatus(row.status).final:
        raise ConflictError("This checkpoint is still being made.", hint="Wait until it is ready.")
    if row.pinned:
        raise ConflictError("This checkpoint is pinned.", hint="Unpin it first.")
    others = store.with_digest(session, row.digest) if row.digest is not None else []
    if row.digest is None or any(one.id not in {row.id, *repeats} for one in others):
        return  # nothing of an environment goes with it
    if row.digest in needs.digests_of(server):
        raise ConflictError(
            f"The server {store.server_subject(server)} continues from this checkpoint.",
            hint="Save it again or go back to another one, then delete this.",
        )
    if users := [one for one in needs.servers_at(session, row.digest) if one.id != server.id]:
        named = ", ".join(store.server_subject(one) for one in users[:5])
        more = f" and {len(users) - 5} more" if len(users) > 5 else ""
        raise ConflictError(
            f"Others are in this environment: {named}{more}.",
            hint="Take it back, so that nobody begins anew from it; it can be deleted once they have"
            " saved environments of their own.",
        )
    if needs.is_left(session, row.digest):
        raise ConflictError(
            "What a server changed since this checkpoint is still on a node that does not answer.",
            hint="Wait until that is saved, or give it up: `atoll checkpoints cancel`.",
        )
    holders = needs.holders_of(session, row.digest)
    if holders:
        shown = ", ".join(sorted(holders)[:5])
        raise ConflictError(
            f"This checkpoint is held by {shown}.", hint="Wait for them, or stop them, then delete."
        )


def _expendable(
    ground: Ground, session: Session, rows: list[store.CheckpointRow], held: Set[str]
) -> list[str]:
    # what was rebased stays as long as what was made from it
    sources = {row.parent for row in rows if row.trigger == Trigger.REBASE}
    needed = held | {digest for digest in sources if digest is not None}
    shared = sharing.by_checkpoint(session, [row.id for row in rows])
    final = [
        policy.Keepable(
            id=row.id,
            digest=row.digest if row.status == CheckpointStatus.READY else None,
            pinned=row.pinned or row.id in shared,
            repeated=row.same_as is not None,
            automatic=row.trigger == Trigger.AUTOMATIC,
        )
        for row in rows
        if CheckpointStatus(row.status).final
    ]
    return policy.expendable(final, keep_last=ground.settings.keep_last, needed=needed)
