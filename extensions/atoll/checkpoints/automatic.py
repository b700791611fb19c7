"""What running servers change is saved by itself from time to time: all that outlives a lost node."""

from __future__ import annotations

from atoll.checkpoints import policy, store
from atoll.checkpoints.asked import new_checkpoint
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import ServerStatus, Trigger
from atoll.checkpoints.store import ServerRow


class Automatic:
    """Asks for the automatic checkpoints of running servers. Blocks, for a transaction at most."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def ask(self, row: ServerRow) -> float | None:
        """Ask for one where it is due; the seconds until it is, None where nothing is to be saved.

        Looks see what changed, so that one that did not is not saved. Whoever writes first of several
        services has asked: who comes after finds the time of it in the row.
        """
        if (wait := self._due(row)) is None or wait > 0:
            return wait
        with self._ground.database.write() as session:
            again = session.get_one(ServerRow, row.id)
            if self._due(again) != 0 or store.working_checkpoints(session, row.id):
                return None  # looked at again when that one has ended
            store.add_checkpoint(session, new_checkpoint(again, Trigger.AUTOMATIC))
            store.change_server(session, again, tried_at=self._ground.clock())
        return None

    def _due(self, row: ServerRow) -> float | None:
        every_s = row.save_every_s
        if every_s is None:
            every_s = self._ground.settings.save_every_s
        if row.status != ServerStatus.RUNNING or row.started_at is None:
            return None
        if not every_s or row.unsaved is None or (row.contained and row.container is None):
            return None
        last = max(one for one in (row.started_at, row.saved_at, row.tried_at) if one is not None)
        return policy.until_due(row.id, last, every_s, self._ground.clock())
