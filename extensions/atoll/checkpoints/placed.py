"""Servers in containers: their starts need no directory, and their ends are saved by a node's agent."""

from __future__ import annotations

from typing import Final

from sqlalchemy.orm import Session

from atoll.checkpoints import policy, rebase_store, store
from atoll.checkpoints.asked import new_checkpoint
from atoll.checkpoints.ground import Containment, Ground
from atoll.checkpoints.models import BASE, LAST, ServerStatus, Trigger
from atoll.checkpoints.saving import saved_until, settled
from atoll.checkpoints.store import ServerRow
from atoll.checkpoints.window import Window, window_of

_ENDING_S: Final = 0.5  # how often a container that was told to end is looked at


class Placed:
    """The steps of a server that has no directory here. Block, for a transaction."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def prepare(self, row: ServerRow) -> None:
        """PREPARING → PREPARED: which image it starts from is all there is to know."""
        with self._ground.database.write() as session:
            again = session.get_one(ServerRow, row.id)
            if again.status != ServerStatus.PREPARING or again.start_id != row.start_id:
                return
            wanted, fallback = _begins_with(session, again, window_of(self._ground))
            known = store.known_checkpoint(session, row.user, wanted) if wanted else None
            aged = (
                window_of(self._ground).aged(known.platform_version) if known is not None else None
            )
            own = known is not None and known.user == row.user  # else somebody shared it
            store.change_server(
                session,
                again,
                status=ServerStatus.PREPARED,
                running_id=again.start_id,
                prepared_at=self._ground.clock(),
                started_at=None,
                environment=wanted,
                current=known.id if known is not None and own else None,
                saved_at=saved_until(again, wanted, known),
                # until another one has started in its place, the next start tries it again
                continues_from=_wanted(again) if fallback else None,
                base=known.base if known is not None else None,
                base_name=known.base_name if known is not None else "",
                packages=dict(known.packages) if known is not None else {},
                node=None,
                container=None,
                image=None,
                fallback=fallback or again.fallback or aged,
                reason=None,
                message=fallback or again.fallback or aged or "Your environment is ready.",
                done=0,
                total=0,
            )

    def settle(self, row: ServerRow) -> float | None:
        """UNSAVED → SAVING, by its node's agent; → SAVED where it never had a container.

        The seconds until the next look while its container has not ended yet: it is saved at rest.
        """
        if row.container is not None and row.running_id is not None:
            state = self._ground.containers.state(row.running_id)
            if state is Containment.RUNNING:
                return _ENDING_S
        with self._ground.database.write() as session:
            again = session.get_one(ServerRow, row.id)
            if again.status != ServerStatus.UNSAVED:
                return None
            if again.container is None:
                settled(session, again)
                return None
            working = store.working_checkpoints(session, again.id)
            if not any(one.trigger == Trigger.STOP for one in working):
                store.add_checkpoint(session, new_checkpoint(again, Trigger.STOP))
            message = "Your environment is being saved."
            store.change_server(session, again, status=ServerStatus.SAVING, message=message)
        return None


def _begins_with(session: Session, row: ServerRow, window: Window) -> tuple[str | None, str | None]:
    """What the start begins with (None: the profile's own image), and what to tell where it differs."""
    wanted = _wanted(row)
    if wanted is None or wanted not in row.without:
        return wanted, None
    earlier = [
        policy.Candidate(one.digest, f"the checkpoint of {one.created_at:%d %b %H:%M} UTC")
        for one in rebase_store.been_at(session, row, wanted)
        if one.digest is not None and not window.too_old(one.platform_version)
    ]
    for candidate in policy.candidates(wanted, earlier, BASE):
        if candidate.digest not in row.without:
            break
    told = (
        "The environment that was asked for cannot be started: its image could not be pulled."
        f" It is kept, and nothing is lost. This is {candidate.what}."
    )
    return None if candidate.digest == BASE else candidate.digest, told


def _wanted(row: ServerRow) -> str | None:
    """The image to start from, None for the profile's own."""
    if row.choice == BASE:
        return None
    return row.continues_from or row.environment if row.choice == LAST else row.choice
