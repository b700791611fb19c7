"""The rules of servers: what the hub tells of starts and stops, and what their owners ask for."""

from __future__ import annotations

from sqlalchemy.orm import Session

from atoll.checkpoints import left, sharing, views
from atoll.checkpoints.discarding import discard
from atoll.checkpoints.ground import Ground
from atoll.checkpoints.hold_tokens import SECRET, token_of
from atoll.checkpoints.models import (
    BASE,
    LAST,
    Place,
    Preparation,
    Server,
    ServerStatus,
    ServerTarget,
    Started,
    StartRequest,
)
from atoll.checkpoints.naming import checked_server, checked_user
from atoll.checkpoints.node_queue import Turn
from atoll.checkpoints.node_results import LOST
from atoll.checkpoints.node_store import unsettled_in_containers
from atoll.checkpoints.nodes import Nodes
from atoll.checkpoints.store import (
    ServerRow,
    change_checkpoint,
    change_server,
    find_server,
    known_checkpoint,
    server_subject,
    servers_page,
    working_checkpoints,
)
from atoll.checkpoints.targets import Targets
from atoll.checkpoints.window import window_of
from atoll.kit.errors import ConflictError, InvalidError, NotFoundError
from atoll.kit.events import record
from atoll.kit.hub import Caller
from atoll.kit.names import is_id, new_id
from atoll.kit.paging import Page

_AT_REST = (ServerStatus.FRESH, ServerStatus.SAVED)
_SETTLING = (ServerStatus.UNSAVED, ServerStatus.SAVING)


class Servers:
    """Servers as the platform keeps them. `segment` is a server's name as URLs spell it."""

    def __init__(self, ground: Ground, nodes: Nodes, targets: Targets) -> None:
        self._ground = ground
        self._nodes = nodes
        self._targets = targets

    def page(self, caller: Caller, cursor: str | None, limit: int) -> Page[Server]:
        """The caller's servers, newest first; an administrator's page has everybody's."""
        after = cursor if cursor is not None and is_id(cursor) else None
        with self._ground.database.read() as session:
            rows = servers_page(session, None if caller.admin else caller.name, after, limit)
        items = [views.server_view(row) for row in rows[:limit]]
        return Page(items=items, next=rows[limit - 1].id if len(rows) > limit else None)

    def show(self, caller: Caller, user: str, segment: str) -> Server:
        """A server of the caller's, `fresh` where nothing is kept of it yet."""
        name = self._visible(caller, user, segment)
        with self._ground.database.read() as session:
            row = find_server(session, user, name)
        if row is None:
            return views.fresh_server(user, name, self._ground.platform.name)
        return self._view(row)

    def preparation(self, user: str, segment: str) -> Preparation:
        """How a start stands; raises NotFoundError where none was asked for."""
        with self._ground.database.read() as session:
            row = find_server(session, checked_user(user), checked_server(segment))
        if row is None or row.start_id is None:
            raise NotFoundError("No start of this server was asked for.")
        return self._preparation(row)

    def start(self, user: str, segment: str, request: StartRequest) -> Preparation:
        """The hub is about to start the server: have its environment prepared.

        Asked again with the same choice it is the same start; the last stop is saved first.
        """
        name = checked_server(segment)
        principals = self._principals(checked_user(user), request.environment)
        with self._ground.database.write() as session:
            row = find_server(session, user, name)
            if row is None:
                row = self._add(session, user, name)
            if not _same_start(row, request):
                self._check_choice(session, user, request, principals)
                self._check_age(session, row, request.environment)
                change_server(session, row, **self._start_values(row, request))
                _hurry(session, row)
                self._leave(session, row)
        return self._preparation(row)

    def _leave(self, session: Session, row: ServerRow) -> None:
        """Go on without the save of the last stop, where that waits for a silent node."""
        turn = self._nodes.turn_of_server(session, row)
        for one in working_checkpoints(session, row.id):
            if left.may_be_left(one, row, turn):
                left.leave(session, one, row)

    def _preparation(self, row: ServerRow) -> Preparation:
        if not row.contained:
            return views.preparation_view(row, self._ground.directory(row))
        image = architecture = None
        if row.environment is not None:
            with self._ground.database.read() as session:
                known = known_checkpoint(session, row.user, row.environment)
            if known is not None:
                image = known.image or self._targets.reference(known.repository, row.environment)
                architecture = known.architecture
        token = token_of(self._ground.home.secret(SECRET), row.start_id or "")
        return views.preparation_view(
            row,
            self._ground.directory(row),
            image=image,
            architecture=architecture,
            hold_token=token,
            turn=self._turn(row),
        )

    def started(self, user: str, segment: str, body: Started) -> Server:
        """The hub has started the server for this preparation, in a container where it has a place.

        Raises InvalidError where it was prepared otherwise.
        """
        start_id = body.start_id
        with self._ground.database.write() as session:
            row = find_server(session, checked_user(user), checked_server(segment))
            if row is None or row.start_id != start_id or row.running_id != start_id:
                raise ConflictError(
                    "This start is not the one that was prepared last.", hint="Start it again."
                )
            if row.contained != (body.place is not None):
                raise InvalidError(
                    "A server that was prepared as contained has a place, and no other has.",
                    hint="Say `contained` when its start is asked for.",
                )
            if row.status != ServerStatus.RUNNING:
                change_server(
                    session,
                    row,
                    **_place_values(row, body.place),
                    continues_from=_continues(row),
                    status=ServerStatus.RUNNING,
                    target=ServerTarget.RUNNING,
                    started_at=self._ground.clock(),
                    tried_at=None,
                    ended_at=None,
                    ended_why=None,
                    failed_start=False,
                    reason=None,
                    message=None,
                )
        return views.server_view(row)

    def placed(self, row: ServerRow, place: Place) -> None:
        """Where the container of its last preparation is, whether the hub lives to tell it or not."""
        with self._ground.database.write() as session:
            again = session.get_one(ServerRow, row.id)
            if again.running_id == row.running_id and again.contained and again.container is None:
                change_server(session, again, **_place_values(again, place))

    def tell_why(self, row: ServerRow, why: str) -> None:
        """Keep for its user why the server ended, where nobody had it stopped."""
        with self._ground.database.write() as session:
            again = session.get_one(ServerRow, row.id)
            if again.ended_why is None and again.running_id == row.running_id:
                change_server(session, again, ended_why=why)

    def in_containers(self, pod: str | None = None) -> list[ServerRow]:
        """The servers that may have something unsaved in a container; of this one pod alone."""
        with self._ground.database.read() as session:
            return unsettled_in_containers(session, pod)

    def ended(
        self, user: str, segment: str, start_id: str | None = None, why: str | None = None
    ) -> Server:
        """The hub has ended the server, or its start: have it saved. Returns at once.

        What is said of another start than the last one came too late, and changes nothing. `why` is
        a sentence where nobody had it stopped.
        """
        name = checked_server(segment)
        with self._ground.database.write() as session:
            row = find_server(session, checked_user(user), name)
            if row is None:
                return views.fresh_server(user, name, self._ground.platform.name)
            if start_id is not None and row.start_id != start_id:
                return views.server_view(row)
            if row.status in (ServerStatus.RUNNING, ServerStatus.PREPARED, ServerStatus.PREPARING):
                change_server(
                    session,
                    row,
                    target=ServerTarget.SAVED,
                    status=ServerStatus.UNSAVED,
                    start_id=None,
                    ended_at=self._ground.clock(),
                    ended_why=why,
                    failed_start=row.status == ServerStatus.PREPARED,
                    reason=None,
                    message="The server ended; its environment is about to be saved.",
                )
            elif row.target != ServerTarget.SAVED or row.start_id is not None:
                change_server(session, row, target=ServerTarget.SAVED, start_id=None)
        return views.server_view(row)

    def stop(self, caller: Caller, user: str, segment: str) -> Server:
        """Have the hub stop the server. Raises UnavailableError where the hub is away."""
        name = self._visible(caller, user, segment)
        with self._ground.database.read() as session:
            if find_server(session, user, name) is None:
                raise _none_to_stop(caller, user, name)
        self._ground.hub.stop_server(user, name)
        return self.show(caller, user, segment)

    def undo_restore(self, caller: Caller, user: str, segment: str) -> Server:
        """The server's next start begins where it stopped, after all."""
        name = self._visible(caller, user, segment)
        with self._ground.database.write() as session:
            row = find_server(session, user, name)
            if row is None:
                raise NotFoundError("Nothing is kept of this server yet.")
            if row.continues_from is not None:
                change_server(session, row, continues_from=None)
        return views.server_view(row)

    def discard(self, caller: Caller, user: str, segment: str) -> Server:
        """Give up what the ended server changed and did not save; raises ConflictError while it runs."""
        name = self._visible(caller, user, segment)
        with self._ground.database.read() as session:
            row = find_server(session, user, name)
        if row is None:
            raise NotFoundError("Nothing is kept of this server yet.")
        return self._view(discard(self._ground, row))

    def _view(self, row: ServerRow) -> Server:
        """The server; one that waits for its node's agent says why."""
        return views.server_view(row, self._turn(row))

    def _turn(self, row: ServerRow) -> Turn | None:
        if not row.contained or row.status != ServerStatus.SAVING:
            return None
        with self._ground.database.read() as session:
            return self._nodes.turn_of_server(session, row)

    def _visible(self, caller: Caller, user: str, segment: str) -> str:
        """The server's name; raises NotFoundError where the caller may not know of it."""
        name = checked_server(segment)
        if checked_user(user) != caller.name and not caller.admin:
            raise NotFoundError("There is no such server.")
        return name

    def _add(self, session: Session, user: str, name: str) -> ServerRow:
        row = ServerRow(
            id=new_id("s"),
            version=1,
            user=user,
            name=name,
            target=ServerTarget.SAVED,
            status=ServerStatus.FRESH,
            choice=LAST,
            base=self._ground.base,
            base_name=self._ground.platform.name,
        )
        session.add(row)
        session.flush()
        record(session, "server", server_subject(row), "created", [f"user:{user}"])
        return row

    def _principals(self, user: str, choice: str) -> frozenset[str]:
        """Whom grants may name to mean this user, as far as that matters for the choice."""
        if choice in (LAST, BASE, self._ground.base):
            return frozenset()
        return sharing.principals_of(self._ground, user, choice)

    def _check_choice(
        self, session: Session, user: str, request: StartRequest, principals: frozenset[str]
    ) -> None:
        choice = request.environment
        if choice in (LAST, BASE, self._ground.base):
            return
        known = sharing.usable(session, user, choice, principals)
        if known is None or (known.node is not None) != request.contained:
            raise ConflictError(
                "There is no such saved environment that you may start from; it may have been"
                " deleted, or is not shared any more.",
                hint="Choose another one, or start fresh.",
            )

    def _check_age(self, session: Session, row: ServerRow, choice: str) -> None:
        """Raise TooOldError where this start would begin from what does not start any more."""
        digest = row.continues_from or row.environment if choice == LAST else choice
        known = known_checkpoint(session, row.user, digest) if digest is not None else None
        if known is not None:
            own = known.id if known.user == row.user else None
            window_of(self._ground).check(known.platform_version, own)

    def _start_values(self, row: ServerRow, request: StartRequest) -> dict[str, object]:
        values: dict[str, object] = {
            "target": ServerTarget.RUNNING,
            "start_id": new_id("st"),
            "choice": request.environment,
            "without": list(request.without),
            "save_every_s": request.save_every_s,
            "fallback": _lost(row, request),
            "reason": None,
            "done": 0,
            "total": 0,
        }
        if row.status in _AT_REST:
            values["contained"] = request.contained
        if row.status in _AT_REST or row.status == ServerStatus.PREPARING:
            return {
                **values,
                "status": ServerStatus.PREPARING,
                "message": "Your environment is being prepared.",
            }
        if row.status in _SETTLING:
            told = row.message if row.reason is not None else None  # what holds the save up
            message = told or "Your environment is being saved first."
            return {**values, "reason": row.reason, "message": message}
        return {  # the hub starts it, so what ran is gone
            **values,
            "status": ServerStatus.UNSAVED,
            "ended_at": self._ground.clock(),
            "message": "Your environment is being saved first.",
        }


def _none_to_stop(caller: Caller, user: str, name: str) -> NotFoundError:
    which = f"server {name!r}" if name else "default server"
    whose = f"Your {which}" if user == caller.name else f"The {which} of {user!r}"
    return NotFoundError(
        f"{whose} has never run, so there is nothing to stop.",
        hint="`atoll servers list` shows those that there are.",
    )


def _same_start(row: ServerRow, request: StartRequest) -> bool:
    """Whether this start was asked for already and has not been carried out."""
    return (
        row.target == ServerTarget.RUNNING
        and row.start_id is not None
        and row.choice == request.environment
        and row.without == request.without
        and row.status != ServerStatus.RUNNING
        and row.status not in _AT_REST
    )


def _lost(row: ServerRow, request: StartRequest) -> str | None:
    """What to tell who goes on after a container was lost: as of when the environment is."""
    goes_on = request.environment == LAST and row.continues_from is None
    at_rest = row.status == ServerStatus.SAVED and row.reason in LOST
    return row.message if at_rest and goes_on else None


def _continues(row: ServerRow) -> str | None:
    """What the start after this one begins from, where somebody chose so: not what did not start."""
    return None if row.continues_from in row.without else row.continues_from


def _place_values(row: ServerRow, place: Place | None) -> dict[str, object]:
    """Where the container is; the image under it all is its own where it was none of ours."""
    if place is None:
        return {}
    name, _, digest = place.image.rpartition("@")
    fresh = {} if row.environment == digest else {"base": digest, "base_name": name}
    return {"node": place.node, "container": place.container, "image": place.image, **fresh}


def _hurry(session: Session, row: ServerRow) -> None:
    """A save that waits to be tried again is tried at once: somebody wants to start."""
    for checkpoint in working_checkpoints(session, row.id):
        if checkpoint.reason is not None:
            message = "Trying again to save."
            change_checkpoint(session, checkpoint, reason=None, message=message, not_before=None)
