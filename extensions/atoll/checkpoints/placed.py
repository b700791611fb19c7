"""Servers in containers: their starts need no directory, and their ends are saved by a node's agent."""

from __future__ import annotations

from atoll.checkpoints import store
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import BASE, LAST, ServerStatus, Trigger
from atoll.checkpoints.saving import new_checkpoint, settled
from atoll.checkpoints.store import ServerRow


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
            wanted = _wanted(again)
            known = store.owned_checkpoint(session, row.user, wanted) if wanted else None
            store.change_server(
                session,
                again,
                status=ServerStatus.PREPARED,
                running_id=again.start_id,
                prepared_at=self._ground.clock(),
                started_at=None,
                environment=wanted,
                current=known.id if known is not None else None,
                continues_from=None,
                base=known.base if known is not None else None,
                base_name=known.base_name if known is not None else "",
                packages=dict(known.packages) if known is not None else {},
                node=None,
                container=None,
                image=None,
                reason=None,
                message=again.fallback or "Your environment is ready.",
                done=0,
                total=0,
            )

    def settle(self, row: ServerRow) -> None:
        """UNSAVED → SAVING, by its node's agent; → SAVED where it never had a container."""
        with self._ground.database.write() as session:
            again = session.get_one(ServerRow, row.id)
            if again.status != ServerStatus.UNSAVED:
                return
            if again.container is None:
                settled(session, again)
                return
            working = store.working_checkpoints(session, again.id)
            if not any(one.trigger == Trigger.STOP for one in working):
                store.add_checkpoint(session, new_checkpoint(again, Trigger.STOP))
            message = "Your environment is being saved."
            store.change_server(session, again, status=ServerStatus.SAVING, message=message)


def _wanted(row: ServerRow) -> str | None:
    """The image to start from, None for the profile's own."""
    if row.choice == BASE:
        return None
    return row.continues_from or row.environment if row.choice == LAST else row.choice
