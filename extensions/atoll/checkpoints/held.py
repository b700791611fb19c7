"""Pods that somebody has deleted are held until they are saved: what atoll-hold asks, beside each server."""

from __future__ import annotations

import hmac

from atoll.checkpoints import left
from atoll.checkpoints.ground import Containment, Ground
from atoll.checkpoints.hold_tokens import SECRET, token_of
from atoll.checkpoints.lost import REMOVED
from atoll.checkpoints.models import ServerStatus
from atoll.checkpoints.servers import Servers
from atoll.checkpoints.store import running_as
from atoll.kit.errors import UnauthenticatedError
from atoll.kit.names import is_id, server_segment


class Held:
    """Decides when a pod may go. Blocks."""

    def __init__(self, ground: Ground, servers: Servers) -> None:
        self._ground = ground
        self._servers = servers

    def check(self, start_id: str, token: str) -> None:
        """Raise UnauthenticatedError where this is not the token of that start."""
        right = token_of(self._ground.home.secret(SECRET), start_id)
        if not is_id(start_id) or not hmac.compare_digest(token.encode(), right.encode()):
            raise UnauthenticatedError("This is not the token of this start.")

    def released(self, start_id: str) -> bool:
        """Whether the pod of this start may end now.

        One that was stopped may: its layer stays while its pod does. One that is being deleted goes
        with its layer, so that this is a stop too, and it may when nothing of it is unsaved. So it is
        with one that was removed by force, which its node leaves two seconds.
        """
        with self._ground.database.read() as session:
            row = running_as(session, start_id)
            known = row is not None or bool(left.left(session, start_id))
        state = self._ground.containers.state(start_id) if known else None
        if state not in (Containment.LEAVING, Containment.GONE):
            return True
        if row is None:
            return False  # its server went on without what is in it
        if row.status in (ServerStatus.RUNNING, ServerStatus.PREPARED):
            why = REMOVED if state is Containment.GONE else None
            self._servers.ended(row.user, server_segment(row.name), start_id, why)
        return False
