"""The rules of checkpoints, and how the capability is put together.

The composition root builds it so (everything here blocks; routes and reconcilers use threads)::

    checkpoints = Checkpoints(database, home, settings.checkpoints, hub_api)  # Ground.Hub: HubApi
    api.state.checkpoints = checkpoints
    api.include_router(atoll.checkpoints.routes.router)      # prefix /api/v1 is in the router
    jobs = Jobs(…, environments=checkpoints.environments)    # ensure, hold, release, materialise
    for reconciler in checkpoints.reconcilers():             # names: "server", "checkpoint"
        supervise(reconciler.name, run)  # run_reconciler, each time with a new queue

Events of the kinds `server` and `checkpoint` are added to the queue of the reconciler of that name,
by subject. `MIGRATIONS` is the folder for `Database.upgrade`; settings: `CheckpointSettings`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from atoll import oci
from atoll.checkpoints import changes, retention, sharing, store, views
from atoll.checkpoints.asked import adopt, new_checkpoint
from atoll.checkpoints.environments import Environments
from atoll.checkpoints.ground import Containers, Ground, Hub
from atoll.checkpoints.held import Held
from atoll.checkpoints.models import (
    Changes,
    Checkpoint,
    CheckpointEdit,
    CheckpointRequest,
    CheckpointStatus,
    Principal,
    Server,
    ServerStatus,
    Trigger,
)
from atoll.checkpoints.naming import checked_server
from atoll.checkpoints.nodes import Nodes
from atoll.checkpoints.rebasing import Rebasing
from atoll.checkpoints.reconciler import reconcilers
from atoll.checkpoints.saving import unchanged
from atoll.checkpoints.servers import Servers
from atoll.checkpoints.settings import CheckpointSettings, NodeSettings
from atoll.checkpoints.store import CheckpointRow, ServerRow
from atoll.checkpoints.targets import LayoutTargets, Targets
from atoll.checkpoints.window import window_of
from atoll.kit.db import Database, now
from atoll.kit.errors import ConflictError, NotFoundError, UnavailableError
from atoll.kit.home import Home
from atoll.kit.hub import Caller
from atoll.kit.loops import Reconciler
from atoll.kit.names import is_id
from atoll.kit.paging import Page

MIGRATIONS: Final = Path(__file__).parent / "migrations"

_SETTLING = (ServerStatus.UNSAVED, ServerStatus.SAVING)


class Checkpoints:
    """Checkpoints; `servers` has the rules of servers, `environments` what jobs need."""

    def __init__(
        self,
        database: Database,
        home: Home,
        settings: CheckpointSettings,
        hub: Hub,
        clock: Callable[[], datetime] = now,
        *,
        nodes: NodeSettings | None = None,
        targets: Targets | None = None,
        containers: Containers | None = None,
    ) -> None:
        self.ground = Ground(database, home, settings, hub, clock, containers=containers)
        targets = targets or LayoutTargets(home.images)
        self.nodes = Nodes(self.ground, nodes or NodeSettings(), targets)
        self.servers = Servers(self.ground, self.nodes, targets)
        self.held = Held(self.ground, self.servers)
        self.environments = Environments(self.ground, self.request, targets)
        self.rebasing = Rebasing(self.ground, targets)
        self._database = database

    def reconcilers(self) -> list[Reconciler]:
        """The loops that carry everything out."""
        return reconcilers(self.ground, self.nodes, self.rebasing)

    def page(
        self, caller: Caller, user: str | None, segment: str | None, cursor: str | None, limit: int
    ) -> Page[Checkpoint]:
        """The caller's checkpoints, newest first; administrators may ask for another user's."""
        if user is not None and user != caller.name and not caller.admin:
            raise NotFoundError("There is no such user.")
        owner = user if user is not None or caller.admin else caller.name
        server = checked_server(segment) if segment is not None else None
        after = cursor if cursor is not None and is_id(cursor) else None
        with self._database.read() as session:
            rows = store.checkpoints_page(session, owner, server, after, limit)
            turns = self.nodes.turns_of(session, rows)
            grants = sharing.by_checkpoint(session, [row.id for row in rows])
            items = [
                views.checkpoint_view(
                    row,
                    window_of(self.ground),
                    _current(session, row),
                    turns.get(row.id),
                    grants.get(row.id, ()),
                )
                for row in rows[:limit]
            ]
        return Page(items=items, next=rows[limit - 1].id if len(rows) > limit else None)

    def shared(
        self, caller: Caller, user: str | None, cursor: str | None, limit: int
    ) -> Page[Checkpoint]:
        """What others share with the caller, newest first; administrators may name another user."""
        if user is not None and user != caller.name and not caller.admin:
            raise NotFoundError("There is no such user.")
        name = user or caller.name
        own = name == caller.name
        principals = caller.principals if own else sharing.principals_of(self.ground, name)
        after = cursor if cursor is not None and is_id(cursor) else None
        with self._database.read() as session:
            rows = sharing.page(session, name, principals, after, limit)
        items = [views.checkpoint_view(row, window_of(self.ground)) for row in rows[:limit]]
        return Page(items=items, next=rows[limit - 1].id if len(rows) > limit else None)

    def share(self, caller: Caller, id_: str, principal: Principal) -> Checkpoint:
        """Let a user, a group or everyone start from a checkpoint of the caller's."""
        with self._database.write() as session:
            row = _visible(session, caller, id_)
            sharing.share(session, row, principal)
            return self._own_view(session, row)

    def take_back(self, caller: Caller, id_: str, principal: Principal) -> Checkpoint:
        """Share it no more; who has started from it keeps what that server has."""
        with self._database.write() as session:
            row = _visible(session, caller, id_)
            sharing.take_back(session, row, principal)
            return self._own_view(session, row)

    def _own_view(self, session: Session, row: CheckpointRow) -> Checkpoint:
        turn = self.nodes.turns_of(session, [row]).get(row.id)
        current, grants = _current(session, row), sharing.of(session, row.id)
        return views.checkpoint_view(row, window_of(self.ground), current, turn, grants)

    def show(self, caller: Caller, id_: str) -> Checkpoint:
        """One checkpoint of the caller's, or one that is shared with the caller."""
        with self._database.read() as session:
            row = _readable(session, caller, id_)
            if row.user == caller.name or caller.admin:
                return self._own_view(session, row)
        return views.checkpoint_view(row, window_of(self.ground))

    def save(self, caller: Caller, request: CheckpointRequest) -> Checkpoint:
        """Save one of the caller's servers now; the calling one where none is named.

        Where nothing changed, the answer is the current checkpoint. Raises ConflictError where
        there is nothing to save yet.
        """
        segment = request.server if request.server is not None else caller.server
        name = checked_server(segment or "")
        with self._database.read() as session:
            server = store.find_server(session, caller.name, name)
        if server is None or not _can_be_saved(server):
            raise ConflictError(
                "There is nothing to save: this server is not started yet.",
                hint="Start it, install what you need, then save.",
            )
        row = self.request(server, Trigger.USER, request.note)
        with self._database.read() as session:
            return self._own_view(session, row)

    def request(self, server: ServerRow, trigger: Trigger, note: str) -> CheckpointRow:
        """Ask for a checkpoint; answers with a ready one where nothing changed since.

        One that waits is joined. One that is being carried out may have read too early: another
        is made after it, except at rest, where nothing changes any more.
        """
        if server.status in _SETTLING:
            return self._joined(server, note)
        idle = self._idle(server.id)
        if idle and self._nothing_changed(server):
            row = self._same_again(server, trigger, note)
            if row is not None:
                return row
        with self._database.write() as session:
            for waiting in store.working_checkpoints(session, server.id):
                if waiting.status == CheckpointStatus.REQUESTED and not waiting.reason:
                    adopt(session, waiting, trigger)
                    if note and not waiting.note:
                        store.change_checkpoint(session, waiting, note=note)
                    return waiting
            return store.add_checkpoint(session, new_checkpoint(server, trigger, note))

    def rebase(self, caller: Caller, id_: str) -> Checkpoint:
        """Have a checkpoint of the caller's own rebased onto the newest base: the one that comes of it."""
        with self._database.write() as session:
            source = _readable(session, caller, id_)
            return self._own_view(session, self.rebasing.request(session, caller, source))

    def edit(self, caller: Caller, id_: str, edit: CheckpointEdit) -> Checkpoint:
        """Change the note or the pin."""
        values = edit.model_dump(exclude_unset=True, exclude_none=True)
        with self._database.write() as session:
            row = _visible(session, caller, id_)
            if values:
                store.change_checkpoint(session, row, **values)
                adopt(session, row, Trigger.USER)
            return self._own_view(session, row)

    def cancel(self, caller: Caller, id_: str) -> Checkpoint:
        """Have a save that a user or a job asked for stopped; raises ConflictError for others."""
        with self._database.write() as session:
            row = _visible(session, caller, id_)
            if CheckpointStatus(row.status).final and not row.cancelled:
                raise ConflictError(f"This checkpoint is {row.status} already.")
            if row.trigger == Trigger.STOP and row.left_id is None:
                raise ConflictError(
                    "A server that stopped is saved; that is not cancelled.",
                    hint="`atoll servers discard` gives up what it changed.",
                )
            if not row.cancelled:
                store.change_checkpoint(session, row, cancelled=True, message="Being cancelled.")
                if row.node is not None:
                    self.nodes.cancel(session, row)
            return self._own_view(session, row)

    def delete(self, caller: Caller, id_: str) -> None:
        """Delete a checkpoint; raises ConflictError, which says by whom it is needed."""
        with self._database.write() as session:
            row = _visible(session, caller, id_)
            repeats = store.repeats_of(session, row.id)
            retention.check_deletable(session, row, {repeat.id for repeat in repeats})
            store.delete_checkpoints(session, [row, *repeats])
        retention.collect(self.ground)

    def restore(self, caller: Caller, id_: str, *, stop: bool) -> Server:
        """Have the server's next start begin from this checkpoint; `stop` ends it now, saved."""
        with self._database.write() as session:
            row = _visible(session, caller, id_)
            if row.status != CheckpointStatus.READY or row.digest is None:
                raise ConflictError(
                    f"This checkpoint is {row.status}: there is nothing to go back to.",
                    hint="Choose one that is ready.",
                )
            server = session.get_one(ServerRow, row.server_id)
            store.change_server(session, server, continues_from=row.digest)
        if stop and server.status in (ServerStatus.RUNNING, ServerStatus.PREPARED):
            self.ground.hub.stop_server(server.user, server.name)
        return views.server_view(server)

    def changes(self, caller: Caller, id_: str, against: str) -> Changes:
        """What differs from `base`, `parent`, or another checkpoint that the caller may see.

        What it is the child of is its owner's alone to know.
        """
        with self._database.read() as session:
            see = _visible if against == "parent" else _readable
            row = see(session, caller, id_)
            other = row.parent if against == "parent" else None
            if against not in ("base", "parent"):
                other = _readable(session, caller, against).digest
        if row.digest is None:
            raise ConflictError("This checkpoint has no environment to compare.")
        if other in (None, row.base) and against != row.id:
            return Changes.model_validate(row.changes or {})
        assert other is not None  # noqa: S101  # the case above
        if row.node is not None:
            return self._between(row, other)
        try:
            before = changes.listing(self.ground.images, other)
            after = changes.listing(self.ground.images, row.digest)
        except oci.MissingError as error:
            raise NotFoundError("What to compare with was deleted.") from error
        except oci.OciError as error:
            raise UnavailableError(f"It cannot be compared: {error.detail}") from error
        return changes.compare(before, after, self.ground.platform.packages)

    def _between(self, row: CheckpointRow, other: str) -> Changes:
        """What differs from another environment of a container; their base is not read."""
        with self._database.read() as session:
            earlier = store.known_checkpoint(session, row.user, other)
        if earlier is None:
            raise NotFoundError("What to compare with was deleted.")
        try:
            with self.nodes.targets.content(earlier.repository) as content:
                before = changes.listing(content, other, earlier.layers)
            with self.nodes.targets.content(row.repository) as content:
                after = changes.listing(content, str(row.digest), row.layers)
        except oci.MissingError as error:
            raise NotFoundError("What to compare with was deleted.") from error
        except oci.OciError as error:
            raise UnavailableError(f"It cannot be compared: {error.detail}") from error
        return changes.compare(before, after, {}, top=changes.shown_in_container)

    def requirements(self, caller: Caller, id_: str) -> str:
        """The environment's own packages as a requirements file."""
        with self._database.read() as session:
            row = _readable(session, caller, id_)
        lines = [f"# {row.id} of {row.created_at:%Y-%m-%d %H:%M} UTC, over {row.base_name}"]
        lines += [f"{name}=={version}" for name, version in sorted(row.packages.items())]
        return "\n".join(lines) + "\n"

    def _idle(self, server_id: str) -> bool:
        with self._database.read() as session:
            return not store.working_checkpoints(session, server_id)

    def _nothing_changed(self, server: ServerRow) -> bool:
        if server.contained:
            return False  # its agent finds out
        directory = self.ground.directory(server)
        try:
            return directory.whole() and not directory.changed().files
        except oci.OciError:
            return False  # it changes under our eyes; saving tells

    def _same_again(self, server: ServerRow, trigger: Trigger, note: str) -> CheckpointRow | None:
        """The current checkpoint; named anew where it has another note, made where there is none."""
        directory = self.ground.directory(server)
        with self._database.write() as session:
            server = session.get_one(ServerRow, server.id)
            row = session.get(CheckpointRow, server.current or "")
            digest = directory.digest()
            if row is None or row.digest != digest or (note and row.note not in ("", note)):
                row = store.add_checkpoint(session, new_checkpoint(server, trigger, note))
                unchanged(session, self.ground, row, server, digest)
            elif note and not row.note:
                store.change_checkpoint(session, row, note=note)
            adopt(session, row, trigger)
            return row

    def _joined(self, server: ServerRow, note: str) -> CheckpointRow:
        """The checkpoint of the stop that is going on."""
        with self._database.write() as session:
            for waiting in store.working_checkpoints(session, server.id):
                if waiting.trigger == Trigger.STOP:
                    if note and not waiting.note:
                        store.change_checkpoint(session, waiting, note=note)
                    return waiting
            return store.add_checkpoint(session, new_checkpoint(server, Trigger.STOP, note))


def _can_be_saved(server: ServerRow) -> bool:
    if server.contained and server.status not in (ServerStatus.RUNNING, *_SETTLING):
        return False
    return server.status not in (ServerStatus.FRESH, ServerStatus.PREPARING)


def _visible(session: Session, caller: Caller, id_: str) -> CheckpointRow:
    """The checkpoint; raises NotFoundError where there is none, or none of the caller's."""
    row = session.get(CheckpointRow, id_) if is_id(id_) else None
    if row is None or (row.user != caller.name and not caller.admin):
        raise NotFoundError("There is no such checkpoint.")
    return row


def _readable(session: Session, caller: Caller, id_: str) -> CheckpointRow:
    """The same, or one that is shared with the caller."""
    row = session.get(CheckpointRow, id_) if is_id(id_) else None
    if row is not None and sharing.readable(session, row, caller.principals):
        return row
    return _visible(session, caller, id_)


def _current(session: Session, row: CheckpointRow) -> str | None:
    server = session.get(ServerRow, row.server_id)
    return server.current if server is not None else None
