"""The rules of saves that agents carry out: offered to one, leased to it, taken back, ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from threading import Lock
from typing import Final

from sqlalchemy.orm import Session

from atoll.checkpoints import left, metrics, node_queue, node_store, retention, store
from atoll.checkpoints.asked import moot
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.models import CheckpointId, CheckpointStatus, Digest, Trigger
from atoll.checkpoints.node_looks import Looks
from atoll.checkpoints.node_models import (
    ImageSaved,
    LookOrder,
    NotSaved,
    Phase,
    ProgressAnswer,
    ProgressReport,
    SaveLimits,
    SaveOrder,
    SaveResult,
)
from atoll.checkpoints.node_queue import AWAY, Standing, Turn
from atoll.checkpoints.node_results import Results
from atoll.checkpoints.node_store import leased, standing
from atoll.checkpoints.origins import origin
from atoll.checkpoints.private import private
from atoll.checkpoints.settings import NodeSettings
from atoll.checkpoints.store import CheckpointRow, ServerRow
from atoll.checkpoints.targets import Targets
from atoll.kit import words
from atoll.kit.errors import ConflictError, NotFoundError
from atoll.kit.names import is_id, new_id

log = logging.getLogger(__name__)

_GLANCE_S: Final = 0.5  # how late a change by another service, or by time alone, is seen
HELD_UP: Final = "held_up"
_SAVING: Final = "Your environment is being saved."
_MOST_SECRETS: Final = 100  # of which an agent looks whether they are gone


class LeaseLostError(ConflictError):
    """The save was given to another agent, or has ended."""

    title = "This save is no longer yours"


class Nodes:
    """What agents ask and tell. Everything blocks. `node` is whose agent it is, checked before."""

    def __init__(self, ground: Ground, settings: NodeSettings, targets: Targets) -> None:
        self._ground = ground
        self._settings = settings
        self.targets = targets
        self._results = Results(ground, targets)
        self.looks = Looks(ground, settings.look_every_s)
        self._lease = timedelta(seconds=settings.lease_s)
        self.commits = 0  # of this process: what was seen before the last one may have changed
        self._looked: tuple[int, float, Standing] | None = None
        self._looking = Lock()
        ground.database.after_commit(self._committed)

    def work(self, node: str) -> SaveOrder | LookOrder | None:
        """What the node's agent is to do now: a save, leased to it, or else a look at a container."""
        return self._save(node) or self.looks.next(node)

    def _save(self, node: str) -> SaveOrder | None:
        """The save that the node's agent is to carry out now, leased to it; None where there is none."""
        if not self._has_turn(node):
            return None
        now = self._ground.clock()
        with self._ground.database.write() as session:
            node_store.seen(session, node, now)
            stands = standing(session, self._settings, now)
            turns = node_queue.turns(stands)
            mine = {save.id for save in stands.saves if save.node == node}
            first = next(
                (id_ for id_, turn in turns.items() if turn.admitted and id_ in mine), None
            )
            if first is None:
                return None
            row = session.get_one(CheckpointRow, first)
            server = session.get_one(ServerRow, row.server_id)
            if moot(row, server):
                store.delete_checkpoints(session, [row])
                return None
            if row.cancelled:  # its agent died with the wish to stop it
                self._results.end(session, row, server, "cancelled", "Cancelled.")
                return None
            return self._leased(session, row, server)

    def progress(self, node: str, id_: str, report: ProgressReport) -> ProgressAnswer:
        """Write down how far it is, and renew the lease.

        Raises LeaseLostError where it is not this agent's any more, NotFoundError for others' saves.
        """
        now = self._ground.clock()
        with self._ground.database.write() as session:
            row, server = self._of_node(session, node, id_)
            if CheckpointStatus(row.status).final or row.lease != report.lease:
                raise _lost()
            node_store.seen(session, node, now)
            values: store.Values = {"lease_until": now + self._lease}
            told: store.Values = {
                "status": report.phase.status,
                "done": report.done,
                "total": report.total,
                "reason": HELD_UP if report.waits else None,
                "message": _how_far(report),
            }
            if any(getattr(row, name) != value for name, value in told.items()):
                values |= told
                store.follow(session, row, server, values)
            store.write_checkpoint(session, row, values)
            answer = ProgressAnswer(cancel=row.cancelled)
        if report.token_wanted:
            image = self.targets.as_pushed(origin(row, server).image)
            target = self.targets.target(row.repository, image, row.id, row.attempts)
            answer.token = target.token if target.kind == "registry" else None
        return answer

    def finish(self, node: str, id_: str, result: SaveResult) -> None:
        """How the save ended, once: it is checked, then written down.

        Raises LeaseLostError where it is not this agent's any more (unless the very same is written
        down already), InvalidError where the image is not what it should be.
        """
        told = result.result
        with self._ground.database.read() as session:
            row, server = self._of_node(session, node, id_)
        if CheckpointStatus(row.status).final:
            if not isinstance(told, ImageSaved) or row.digest != told.digest:
                raise _lost()
        elif row.lease != result.lease:
            raise _lost()
        else:
            if isinstance(told, NotSaved):
                self._results.not_saved(row, server, told)
            else:
                self._results.saved(row, server, told)
            metrics.ended(node, told, row.trigger)
        retention.apply(self._ground, server.id)  # told again: it may not have come to this before

    def look_after(self, id_: str) -> float | None:
        """Take a save back whose agent fell silent; the seconds until the next look, None for none."""
        now = self._ground.clock()
        with self._ground.database.read() as session:
            row = session.get(CheckpointRow, id_)
            if row is None or CheckpointStatus(row.status).final:
                return None
            server = session.get_one(ServerRow, row.server_id)
            turn = self.turns_of(session, [row]).get(id_)
        if row.status == CheckpointStatus.REQUESTED:
            self._leave(row, server, turn)
            return None
        if row.lease is None:
            return None
        if leased(row.status, row.lease_until, now):
            assert row.lease_until is not None  # noqa: S101  # it is leased
            return max(0.1, (row.lease_until - now).total_seconds())
        message = f"The agent of its node {row.node} fell silent; the save is begun anew."
        with self._ground.database.write() as session:
            row = session.get_one(CheckpointRow, id_)
            server = session.get_one(ServerRow, row.server_id)
            if leased(row.status, row.lease_until, now) or row.status == CheckpointStatus.REQUESTED:
                return 0.0
            # the lease stays: should the agent only have been cut off, its result counts until then
            values: store.Values = {
                "status": CheckpointStatus.REQUESTED,
                "reason": AWAY,
                "message": message,
            }
            store.write_checkpoint(session, row, values)
            store.follow(session, row, server, values)
        log.warning("%s: %s", id_, message, extra={"checkpoint": id_})
        return None

    def _leave(self, seen: CheckpointRow, server: ServerRow, turn: Turn | None) -> None:
        """Let a start go on that waits for a save whose node is silent, and begins with something else."""
        if not left.may_be_left(seen, server, turn):
            return
        with self._ground.database.write() as session:
            row = session.get_one(CheckpointRow, seen.id)
            server = session.get_one(ServerRow, seen.server_id)
            if left.may_be_left(row, server, turn):
                left.leave(session, row, server)
                log.warning("%s is left on %s", row.id, row.node, extra={"checkpoint": row.id})

    def left(self) -> list[CheckpointRow]:
        """The saves that their servers went on without, and that are not final."""
        with self._ground.database.read() as session:
            return left.left(session)

    def lost_left(self, seen: CheckpointRow) -> None:
        """The node of such a save is gone for good: nothing can be saved."""
        now = self._ground.clock()
        with self._ground.database.write() as session:
            row = session.get_one(CheckpointRow, seen.id)
            if CheckpointStatus(row.status).final or leased(row.status, row.lease_until, now):
                return
            self._results.node_lost(session, row, session.get_one(ServerRow, row.server_id))

    def lost(self, server: ServerRow) -> None:
        """The node of an ended server is gone for good, and its container with it: nothing can be saved.

        Not where its agent works on it all the same.
        """
        now = self._ground.clock()
        with self._ground.database.write() as session:
            for row in store.working_checkpoints(session, server.id):
                again = session.get_one(ServerRow, server.id)
                same = row.node == server.node and again.running_id == server.running_id
                if same and not leased(row.status, row.lease_until, now):
                    self._results.node_lost(session, row, again)

    def turns_of(self, session: Session, rows: Iterable[CheckpointRow]) -> Mapping[str, Turn]:
        """Why those of these saves wait that wait for an agent, as it is now."""
        ids = {row.id for row in rows if row.node and row.status == CheckpointStatus.REQUESTED}
        if not ids:
            return {}
        turns = node_store.all_turns(session, self._settings, self._ground.clock())
        return {id_: turns[id_] for id_ in ids if id_ in turns}

    def turn_of_server(self, session: Session, server: ServerRow) -> Turn | None:
        """Why the save of its stop waits; None where it does not."""
        stops = [
            row
            for row in store.working_checkpoints(session, server.id)
            if row.trigger == Trigger.STOP
        ]
        return next(iter(self.turns_of(session, stops).values()), None)

    def cancel(self, session: Session, row: CheckpointRow) -> None:
        """Nobody wants this save any more: ended at once, or by its agent when it is told."""
        server = session.get_one(ServerRow, row.server_id)
        if row.status == CheckpointStatus.REQUESTED:
            self._results.end(session, row, server, "cancelled", "Cancelled.")

    def count(self) -> None:
        """Bring the lengths of the lines in `/metrics` up to date."""
        with self._ground.database.read() as session:
            stands = standing(session, self._settings, self._ground.clock())
        metrics.waiting(node_queue.lengths(stands), stands.present)

    def _committed(self) -> None:
        self.commits += 1

    def _has_turn(self, node: str) -> bool:
        """Whether it looks so, without the write that a claim is; most looks end here."""
        now = self._ground.clock()
        stands = self._glance()
        with self._ground.database.read() as session:
            if not node_store.seen_lately(session, node, now):
                return True
        turns = node_queue.turns(stands)
        return any(
            save.node == node and save.id in turns and turns[save.id].admitted
            for save in stands.saves
        )

    def _glance(self) -> Standing:
        """How everything stands; one look serves all agents that ask at the same time."""
        with self._looking:
            commits, moment = self.commits, time.monotonic()
            if self._looked is not None:
                before, when, stands = self._looked
                if before == commits and moment - when < _GLANCE_S:
                    return stands
            with self._ground.database.read() as session:
                stands = standing(session, self._settings, self._ground.clock())
            self._looked = (commits, moment, stands)
            return stands

    def _leased(self, session: Session, row: CheckpointRow, server: ServerRow) -> SaveOrder:
        """Lease the save to whoever asks."""
        of = origin(row, server)
        assert of.image, row.id  # noqa: S101  # a checkpoint with a node has a place
        assert of.container, row.id  # noqa: S101
        now = self._ground.clock()
        repository = self.targets.repository(row.user)
        lease, attempt = new_id("le"), row.attempts + 1
        values: store.Values = {
            "status": CheckpointStatus.SCANNING,
            "reason": None,
            "message": _SAVING,
            "done": 0,
            "total": 0,
        }
        store.follow(session, row, server, values)
        values |= {
            "lease": lease,
            "lease_until": now + self._lease,
            "attempts": attempt,
            "repository": repository,
        }
        store.write_checkpoint(session, row, values)
        image = self.targets.as_pushed(of.image)
        return SaveOrder(
            checkpoint=CheckpointId(row.id),
            lease=lease,
            lease_s=self._settings.lease_s,
            server=server.id,
            container=of.container,
            live=not of.ended or self._ground.containers.leaving(of.start_id),
            image=image,
            parent=Digest(of.parent),
            base=Digest(of.base),
            layers=_own_layers(session, row.user, of.parent),
            target=self.targets.target(repository, image, row.id, attempt),
            limits=self._limits(session, row.user),
            most_layers=self._ground.settings.most_layers,
            secrets=_secrets(session, row, of.parent),
            compression=self._settings.compression,
            setuid=self._settings.setuid,
        )

    def _limits(self, session: Session, user: str) -> SaveLimits:
        limits = self._ground.limits
        return SaveLimits(
            size=limits.size,
            entries=limits.entries,
            room=self._ground.room(session, user),
            seconds=self._settings.save_within_s,
        )

    def _of_node(self, session: Session, node: str, id_: str) -> tuple[CheckpointRow, ServerRow]:
        row = session.get(CheckpointRow, id_) if is_id(id_) else None
        if row is None or row.node != node:
            raise NotFoundError("There is no such save on this node.")
        return row, session.get_one(ServerRow, row.server_id)


def _secrets(session: Session, row: CheckpointRow, parent: str) -> list[str]:
    """What looks like secrets in the layers of a parent. Not for an automatic save, of which there are many."""
    found = private(session, parent) if row.trigger != Trigger.AUTOMATIC else None
    return found.secrets[:_MOST_SECRETS] if found is not None else []


def _own_layers(session: Session, user: str, parent: str) -> list[Digest]:
    """The layers of what a user's server started from over its base."""
    known = store.known_checkpoint(session, user, parent)
    return [Digest(one) for one in known.layers] if known is not None else []


def _lost() -> LeaseLostError:
    return LeaseLostError(
        "This save was taken back, or has ended.", hint="Drop it and ask for work."
    )


def _how_far(report: ProgressReport) -> str:
    if report.waits:
        return words.retried(f"Not saved yet: {report.waits}")
    if report.phase is Phase.PUBLISHING:
        return "Your environment is being published."
    if report.phase is Phase.SCANNING or not report.total:
        return _SAVING
    return f"saving your environment: {words.size(report.done)} of {words.size(report.total)}"
