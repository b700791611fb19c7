"""Of which container a checkpoint is made: its server's, or that of a rebase's job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from atoll.checkpoints.models import ServerStatus, Trigger
from atoll.checkpoints.store import CheckpointRow, ServerRow

_ENDED: Final = (ServerStatus.UNSAVED, ServerStatus.SAVING)


@dataclass(frozen=True, slots=True)
class Origin:
    """A container, the image that it was started from, and the base under that."""

    container: str
    image: str  # by digest
    base: str
    base_name: str
    ended: bool
    start_id: str = ""  # of the server that it is

    @property
    def parent(self) -> str:
        """The digest of the image."""
        return self.image.rpartition("@")[2]


def origin(row: CheckpointRow, server: ServerRow) -> Origin:
    """The container that the checkpoint of an agent is made of."""
    if row.trigger == Trigger.REBASE:
        container, image = row.container or "", row.image or ""
        name, _, digest = image.rpartition("@")
        return Origin(container, image, base=digest, base_name=name, ended=True)
    if row.left_id is not None:
        container, image = row.container or "", row.image or ""
        base = row.base or image.rpartition("@")[2]
        return Origin(container, image, base, row.base_name, ended=True, start_id=row.left_id)
    container, image = server.container or "", server.image or ""
    return Origin(
        container,
        image,
        base=server.base or image.rpartition("@")[2],
        base_name=server.base_name,
        ended=at_rest(server.status),
        start_id=server.running_id or "",
    )


def at_rest(server_status: str) -> bool:
    """Whether the server of this status has ended."""
    return server_status in _ENDED
