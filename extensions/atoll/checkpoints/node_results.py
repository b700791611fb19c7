"""What an agent says of a finished save, checked against what is stored, and written down."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from atoll import oci
from atoll.checkpoints import saving, store
from atoll.checkpoints.base import made_for
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import CheckpointStatus, ServerStatus, Trigger
from atoll.checkpoints.node_models import ImageSaved, NotSaved
from atoll.checkpoints.origins import Origin, origin
from atoll.checkpoints.private import SECRETS, still_private
from atoll.checkpoints.rebase_results import rebased
from atoll.checkpoints.rebase_store import holder
from atoll.checkpoints.store import CheckpointRow, HoldRow, ServerRow
from atoll.checkpoints.targets import Targets
from atoll.kit import words
from atoll.kit.errors import ConflictError, InvalidError, UnavailableError
from atoll.kit.loops import back_off
from atoll.oci.registry_errors import RegistryAwayError

log = logging.getLogger(__name__)

_HOPELESS: Final = 3  # attempts until an agent's word that nothing can be saved any more is taken
NODE_LOST: Final = "node_lost"
_REMOVED: Final = frozenset({"container_not_found", "container_removed"})  # see agent.errors
LOST: Final = _REMOVED | {NODE_LOST}
"""The reasons of a server that could not be saved, since its container is not there any more."""


class _Layers(NamedTuple):
    """What an image has: bytes that are new over its parent, and its layers over the base."""

    new: int
    over_base: dict[str, int]
    made_for: dict[str, object]  # what the image says of that


class Results:
    """Ends saves. Blocks."""

    def __init__(self, ground: Ground, targets: Targets) -> None:
        self._ground = ground
        self._targets = targets

    def saved(self, row: CheckpointRow, server: ServerRow, told: ImageSaved) -> None:
        """Check the image and make the checkpoint ready; raises InvalidError for a wrong one.

        Raises UnavailableError while the registry cannot be asked: the agent tells again.
        """
        parent = origin(row, server).parent
        try:
            rebase = row.trigger == Trigger.REBASE
            layers = self._looked_at(row, server, told) if told.added or rebase else None
        except RegistryAwayError as error:
            raise UnavailableError(f"The registry cannot be asked: {error.detail}") from error
        except oci.OciError as error:
            why = words.retried(f"Not saved yet: the agent's image is not as it should be. {error}")
            self._again(row, "image_wrong", why)
            raise InvalidError(f"This is not the image of this save: {error.detail}") from error
        with self._ground.database.write() as session:
            again, server = self._still(session, row)
            if row.trigger == Trigger.REBASE:
                assert layers is not None  # noqa: S101  # looked at above
                of = origin(again, server)
                values = _values(again, of, told, layers) if told.added else layers.made_for
                rebased(session, self._ground, again, of=of, told=told, values=values)
            elif layers is None:
                self._unchanged(session, again, server, parent)
            else:
                self._write_down(session, again, server, told, layers)
            saving.fulfil_holds(session, again)
            if saving.of_this_stop(again, server):
                saving.settled(session, server)

    def not_saved(self, row: CheckpointRow, server: ServerRow, told: NotSaved) -> None:
        """Write down why, and have it tried again where that is called for."""
        why = f"{told.message} {told.hint}" if told.hint else told.message
        stop = row.trigger == Trigger.STOP
        hopeless = not told.retry and row.attempts >= _HOPELESS
        if told.outcome == "cancelled" and not row.cancelled:
            self._again(row, "agent_ended", "The node's agent was ended; it is begun anew.")
            return
        if told.outcome == "cancelled":
            final, reason, message = True, "cancelled", "Cancelled."
        else:
            patient = row.trigger not in (Trigger.USER, Trigger.AUTOMATIC)
            given_up = not patient or told.outcome == "refused" or not told.retry
            final = hopeless if stop else given_up
            reason, message = told.code, f"Not saved: {why}"
        if not final:
            self._again(row, told.code, words.retried(f"Not saved yet: {why}"))
            return
        refused = told.outcome == "refused"
        with self._ground.database.write() as session:
            again, server = self._still(session, row)
            if stop and reason in _REMOVED:
                message = _lost(session, again, server, "the server's container was removed from")
            _log(again, reason, message)
            self.end(session, again, server, reason, message, refused=refused)

    def node_lost(self, session: Session, row: CheckpointRow, server: ServerRow) -> None:
        """End a checkpoint whose node is gone for good."""
        message = _lost(session, row, server, "the server's container is gone with")
        _log(row, NODE_LOST, message)
        self.end(session, row, server, NODE_LOST, message)

    def end(
        self,
        session: Session,
        row: CheckpointRow,
        server: ServerRow,
        reason: str,
        message: str,
        *,
        refused: bool = False,
    ) -> None:
        """End a checkpoint that saved nothing, and with it its server's stop."""
        store.change_checkpoint(
            session,
            row,
            status=CheckpointStatus.REFUSED if refused else CheckpointStatus.FAILED,
            reason=reason,
            message=message,
            finished_at=self._ground.clock(),
        )
        if row.trigger == Trigger.REBASE:
            store.release_holds(session, holder(row.id))
        if saving.of_this_stop(row, server):
            saving.settled(session, server)
            if server.status == ServerStatus.SAVED:
                store.change_server(session, server, reason=reason, message=message)
            else:  # a start waits
                store.change_server(session, server, fallback=message)

    def _again(self, row: CheckpointRow, reason: str, message: str) -> None:
        """Have it offered again, later each time."""
        _log(row, reason, message)
        later = self._ground.clock() + timedelta(seconds=back_off(max(1, row.attempts)))
        values: store.Values = {
            "status": CheckpointStatus.REQUESTED,
            "reason": reason,
            "message": message,
        }
        with self._ground.database.write() as session:
            again, server = self._still(session, row)
            values |= {"lease": None, "not_before": later}
            store.write_checkpoint(session, again, values)
            store.follow(session, again, server, values)

    def _still(self, session: Session, row: CheckpointRow) -> tuple[CheckpointRow, ServerRow]:
        """The rows as they are now; raises ConflictError where the lease was lost meanwhile."""
        again = session.get_one(CheckpointRow, row.id)
        if again.lease != row.lease or CheckpointStatus(again.status).final:
            raise ConflictError("This save was taken back, or has ended.")
        return again, session.get_one(ServerRow, row.server_id)

    def _looked_at(self, row: CheckpointRow, server: ServerRow, told: ImageSaved) -> _Layers:
        """Its layers. Raises OciError where the image is not there, or not on what it should be."""
        of = origin(row, server)
        parent = of.parent
        with self._targets.content(row.repository) as content:
            image = oci.load_image(content, told.digest)
            layers = {str(one.digest): one.size for one in image.manifest.layers}
            missing = [one for one in layers if not content.has(one)]
            if missing:
                raise oci.MissingError(f"Its layer {missing[0]} is not there.")
            base = _known(content, of.base)
            under = _known(content, parent)
        if under is None:
            under = self._elsewhere(row, parent)
        order = list(layers)
        if base is None and under is not None:  # the user's own layers may have become one
            own = self._over_base(row.user, parent)
            base = [one for one in under if one not in own]
        if base is None:
            if row.trigger != Trigger.REBASE and server.environment == parent:
                raise oci.MissingError("What its container started from is not there.")
            base = order[: max(0, len(order) - told.added)]  # one that is in no store of ours
        if order[: len(base)] != base:
            raise oci.InvalidImageError("It does not stand on its base image.")
        over_base = {one: size for one, size in layers.items() if one not in base}
        known = under or base
        new = sum(size for one, size in over_base.items() if one not in known)
        return _Layers(new, over_base, made_for(image.config))

    def _elsewhere(self, row: CheckpointRow, digest: str) -> list[str] | None:
        """The layers of an image that is in somebody else's repository, who shared it."""
        with self._ground.database.read() as session:
            found = store.known_checkpoint(session, row.user, digest)
        if found is None or found.repository in (None, row.repository):
            return None
        with self._targets.content(found.repository) as content:
            return _known(content, digest)

    def _over_base(self, user: str, digest: str) -> dict[str, int]:
        """The layers of what a user's server started from over its base."""
        with self._ground.database.read() as session:
            found = store.known_checkpoint(session, user, digest)
        return found.layers if found is not None else {}

    def _unchanged(
        self, session: Session, row: CheckpointRow, server: ServerRow, digest: str
    ) -> None:
        """Nothing had changed. A stop that nobody waits for leaves no line in the history."""
        waited_for = session.scalar(select(HoldRow).where(HoldRow.checkpoint == row.id).limit(1))
        known = store.owned_checkpoint(session, row.user, digest)
        new = known is None or row.left_id is not None
        if row.trigger == Trigger.STOP and new and waited_for is None:
            if row.left_id is None:
                saving.settled(session, server)
            store.delete_checkpoints(session, [row])
            return
        saving.unchanged(session, self._ground, row, server, digest)

    def _write_down(
        self,
        session: Session,
        row: CheckpointRow,
        server: ServerRow,
        told: ImageSaved,
        layers: _Layers,
    ) -> None:
        moment = self._ground.clock()
        values = _values(row, origin(row, server), told, layers)
        if under := still_private(session, str(values["parent"]), layers.over_base):
            secrets = sorted({*told.secrets, *under.secrets})
            message = saving.warning(secrets, told.torn)
            values |= {"reason": SECRETS, "secrets": secrets, "message": message}
        store.write_checkpoint(session, row, {**values, "finished_at": moment})
        if row.left_id is not None:
            return  # its server is elsewhere by now
        store.change_server(
            session,
            server,
            environment=told.digest,
            current=row.id,
            saved_at=moment,
            unsaved=None,
            packages=told.packages,
        )


def _values(row: CheckpointRow, of: Origin, told: ImageSaved, layers: _Layers) -> store.Values:
    """What a ready checkpoint says of the image that its agent made."""
    return {
        "status": CheckpointStatus.READY,
        "reason": SECRETS if told.secrets else None,
        "message": saving.warning(told.secrets, told.torn),
        "secrets": told.secrets,
        "done": row.total,
        "digest": told.digest,
        "parent": of.parent,
        "base": of.base,
        "base_name": of.base_name,
        "layer_size": layers.new,
        "size": sum(layers.over_base.values()),
        "layers": layers.over_base,
        "changes": told.changes.model_dump(mode="json") if told.changes is not None else None,
        "packages": told.packages,
        "left_out": [item.model_dump(mode="json") for item in told.left_out],
        **layers.made_for,
    }


def _log(row: CheckpointRow, reason: str, message: str) -> None:
    """What its server's people read, for administrators."""
    about = {"checkpoint": row.id, "code": reason}
    level = logging.INFO if reason == "cancelled" else logging.WARNING
    log.log(level, "%s on %s: %s", row.id, row.node, message, extra=about)


def _lost(session: Session, row: CheckpointRow, server: ServerRow, what: str) -> str:
    """What is lost, and what there is: the newest checkpoint, which may be an automatic one."""
    if row.left_id is not None:
        return f"Not saved: {what} its node {row.node} before it could be saved, and is lost."
    known = session.get(CheckpointRow, server.current or "")
    there = "your environment is as it was when the server was started"
    if known is not None and known.finished_at is not None:
        there = f"your environment is as it was on {known.created_at:%d %b at %H:%M} UTC"
        if known.trigger == Trigger.AUTOMATIC:
            there += ", when it was saved by itself"
    return (
        f"Not saved: {what} its node {row.node} before it could be saved. What was changed since"
        f" the last save is lost: {there}. Earlier checkpoints, and the home, are safe."
    )


def _digest_of(image: str | None) -> str:
    return (image or "").rpartition("@")[2]


def _known(content: oci.Content, digest: str) -> list[str] | None:
    """The layers of an image, None where it is not there."""
    try:
        return [layer.digest for layer in oci.load_image(content, digest).manifest.layers]
    except oci.MissingError:
        return None
