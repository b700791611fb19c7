"""The HTTP side of servers and checkpoints."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import PlainTextResponse

from atoll.checkpoints.models import (
    Changes,
    Checkpoint,
    CheckpointEdit,
    CheckpointRequest,
    Ended,
    Hold,
    Preparation,
    Principal,
    RestoreRequest,
    Server,
    Started,
    StartRequest,
)
from atoll.checkpoints.service import Checkpoints
from atoll.kit.paging import Page
from atoll.kit.web import Cursor, Limit, TheHub, User

router = APIRouter(prefix="/api/v1", tags=["checkpoints"])

_WAIT_MOST_S: Final = 25.0  # below the time-outs of the usual proxies
_LOOK_S: Final = 0.25  # a look is one row by its index

T = TypeVar("T", Server, Preparation)


def _of_app(request: Request) -> Checkpoints:
    checkpoints: Checkpoints = request.app.state.checkpoints
    return checkpoints


Rules = Annotated[Checkpoints, Depends(_of_app)]
Known = Annotated[int | None, Query(ge=0, description="answer when the version is another one")]
Wait = Annotated[float, Query(ge=0, le=_WAIT_MOST_S, description="seconds to wait for it at most")]


async def _changed(look: Callable[[], T], known: int | None, wait_s: float) -> T:
    """What `look` gives once its version is not the known one, or the time is over."""
    deadline = time.monotonic() + wait_s
    while True:
        found = await asyncio.to_thread(look)
        if known is None or found.version != known or time.monotonic() >= deadline:
            return found
        await asyncio.sleep(_LOOK_S)


@router.get("/servers")
def list_servers(
    rules: Rules, caller: User, cursor: Cursor = None, limit: Limit = 50
) -> Page[Server]:
    """The caller's servers; an administrator gets everybody's."""
    return rules.servers.page(caller, cursor, limit)


@router.get("/servers/{user}/{server}")
async def show_server(
    rules: Rules, caller: User, user: str, server: str, *, version: Known = None, wait: Wait = 0
) -> Server:
    """One server; with `version` and `wait` the answer comes when it has changed."""
    return await _changed(lambda: rules.servers.show(caller, user, server), version, wait)


@router.post("/servers/{user}/{server}/start")
def start_server(
    rules: Rules, _: TheHub, user: str, server: str, body: StartRequest
) -> Preparation:
    """The hub is about to start the server: prepare its environment."""
    return rules.servers.start(user, server, body)


@router.get("/servers/{user}/{server}/preparation")
async def show_preparation(
    rules: Rules, _: TheHub, user: str, server: str, version: Known = None, wait: Wait = 0
) -> Preparation:
    """How the start stands; with `version` and `wait` the answer comes when it has changed."""
    return await _changed(lambda: rules.servers.preparation(user, server), version, wait)


@router.post("/servers/{user}/{server}/started")
def server_started(rules: Rules, _: TheHub, user: str, server: str, body: Started) -> Server:
    """The hub has started the server."""
    return rules.servers.started(user, server, body)


@router.post("/servers/{user}/{server}/ended")
def server_ended(rules: Rules, _: TheHub, user: str, server: str, body: Ended) -> Server:
    """The hub has ended the server: it is saved from now on. Answers at once."""
    return rules.servers.ended(user, server, body.start_id)


@router.get("/starts/{start_id}/hold")
async def hold(request: Request, rules: Rules, start_id: str, wait: Wait = 0) -> Hold:
    """Whether the pod of this start, which somebody has deleted, may go: once it is saved."""
    _, _, token = request.headers.get("Authorization", "").partition(" ")
    rules.held.check(start_id, token.strip())
    deadline = time.monotonic() + wait
    while not (release := await asyncio.to_thread(rules.held.released, start_id)):
        if time.monotonic() >= deadline:
            break
        await asyncio.sleep(_LOOK_S)
    return Hold(release=release)


@router.post("/servers/{user}/{server}/stop", status_code=202)
def stop_server(rules: Rules, caller: User, user: str, server: str) -> Server:
    """Have the hub stop the server; it is then saved."""
    return rules.servers.stop(caller, user, server)


@router.delete("/servers/{user}/{server}/unsaved")
def discard_unsaved(rules: Rules, caller: User, user: str, server: str) -> Server:
    """Give up what the ended server changed and did not save; its last checkpoint stays."""
    return rules.servers.discard(caller, user, server)


@router.delete("/servers/{user}/{server}/continuation")
def undo_restore(rules: Rules, caller: User, user: str, server: str) -> Server:
    """Undo a choice to go back: the next start begins where the server stopped."""
    return rules.servers.undo_restore(caller, user, server)


@router.post("/checkpoints", status_code=202)
def save_checkpoint(rules: Rules, caller: User, body: CheckpointRequest) -> Checkpoint:
    """Save a server now; the current checkpoint where nothing changed."""
    return rules.save(caller, body)


@router.get("/checkpoints")
def list_checkpoints(
    rules: Rules,
    caller: User,
    *,
    user: str | None = None,
    server: str | None = None,
    shared: Annotated[bool, Query(description="those of others that they share, instead")] = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[Checkpoint]:
    """Checkpoints, newest first."""
    if shared:
        return rules.shared(caller, user, cursor, limit)
    return rules.page(caller, user, server, cursor, limit)


@router.get("/checkpoints/{id}")
def show_checkpoint(rules: Rules, caller: User, id: str) -> Checkpoint:  # noqa: A002  # the path's
    """One checkpoint."""
    return rules.show(caller, id)


@router.get("/checkpoints/{id}/changes")
def show_changes(
    rules: Rules,
    caller: User,
    id: str,  # noqa: A002  # the path's
    against: Annotated[str, Query(max_length=40, description="base, parent, or an id")] = "base",
) -> Changes:
    """What differs from the base, the parent, or another checkpoint."""
    return rules.changes(caller, id, against)


@router.get("/checkpoints/{id}/requirements", response_class=PlainTextResponse)
def export_requirements(rules: Rules, caller: User, id: str) -> str:  # noqa: A002  # the path's
    """The environment's own packages as a requirements file."""
    return rules.requirements(caller, id)


@router.patch("/checkpoints/{id}")
def edit_checkpoint(
    rules: Rules,
    caller: User,
    id: str,  # noqa: A002  # the path's
    body: CheckpointEdit,
) -> Checkpoint:
    """Change the note or the pin."""
    return rules.edit(caller, id, body)


@router.put("/checkpoints/{id}/grants/{principal:path}")
def share_checkpoint(
    rules: Rules,
    caller: User,
    id: str,  # noqa: A002  # the path's
    principal: Principal,
) -> Checkpoint:
    """Let a user, a group or everyone start from it."""
    return rules.share(caller, id, principal)


@router.delete("/checkpoints/{id}/grants/{principal:path}")
def take_checkpoint_back(
    rules: Rules,
    caller: User,
    id: str,  # noqa: A002  # the path's
    principal: Principal,
) -> Checkpoint:
    """Share it with them no more; what they started from it stays theirs."""
    return rules.take_back(caller, id, principal)


@router.delete("/checkpoints/{id}", status_code=204)
def delete_checkpoint(rules: Rules, caller: User, id: str) -> None:  # noqa: A002  # the path's
    """Delete a checkpoint that nobody needs."""
    rules.delete(caller, id)


@router.post("/checkpoints/{id}/cancel")
def cancel_checkpoint(rules: Rules, caller: User, id: str) -> Checkpoint:  # noqa: A002  # the path's
    """Stop a save that was asked for; one of a server that stopped is not cancelled."""
    return rules.cancel(caller, id)


@router.post("/checkpoints/{id}/rebase", status_code=202)
def rebase_checkpoint(rules: Rules, caller: User, id: str) -> Checkpoint:  # noqa: A002  # the path's
    """Install what it has over the newest base, as a job: a new checkpoint. It stays as it is."""
    return rules.rebase(caller, id)


@router.post("/checkpoints/{id}/restore")
def restore_checkpoint(
    rules: Rules,
    caller: User,
    id: str,  # noqa: A002  # the path's
    body: RestoreRequest,
) -> Server:
    """Go back: the server's next start begins from this checkpoint."""
    return rules.restore(caller, id, stop=body.stop)
