"""Calls about servers and checkpoints, for the hub, the SDK, the command line and the lab."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from atoll.checkpoints.models import (
    Changes,
    Checkpoint,
    CheckpointEdit,
    CheckpointRequest,
    Ended,
    Hold,
    Orphan,
    Place,
    Preparation,
    RestoreRequest,
    Server,
    Started,
    StartRequest,
)
from atoll.kit.http import Call
from atoll.kit.names import server_segment
from atoll.kit.paging import Page

_SLACK_S: Final = 10.0  # beyond a long-poll's wait, for the answer itself


def servers(cursor: str | None = None, limit: int = 50) -> Call[Page[Server]]:
    """The caller's servers."""
    return Call("GET", "servers", Page[Server], params=_params(cursor=cursor, limit=limit))


def hold(start_id: str, wait_s: float = 0) -> Call[Hold]:
    """Whether the pod of a start may go; with the token of that start."""
    return Call(
        "GET",
        f"starts/{quote(start_id, safe='')}/hold",
        Hold,
        params=_params(wait=int(wait_s)),
        timeout_s=wait_s + _SLACK_S,
    )


def orphans() -> Call[Page[Orphan]]:
    """What lies in the cluster and belongs to nobody any more; for administrators."""
    return Call("GET", "orphans", Page[Orphan])


def server(user: str, name: str, *, version: int | None = None, wait_s: float = 0) -> Call[Server]:
    """One server by its JupyterHub name; with `version`, once that has changed, or `wait_s` is over."""
    return Call(
        "GET",
        _server(user, name),
        Server,
        params=_params(version=version, wait=int(wait_s)),
        timeout_s=wait_s + _SLACK_S,
    )


def start(user: str, name: str, request: StartRequest) -> Call[Preparation]:
    """The hub's: prepare the server's environment."""
    return Call("POST", f"{_server(user, name)}/start", Preparation, body=request)


def preparation(
    user: str, name: str, *, version: int | None = None, wait_s: float = 0
) -> Call[Preparation]:
    """The hub's: how the start stands; with `version`, once that has changed, or `wait_s` is over."""
    return Call(
        "GET",
        f"{_server(user, name)}/preparation",
        Preparation,
        params=_params(version=version, wait=int(wait_s)),
        timeout_s=wait_s + _SLACK_S,
    )


def started(user: str, name: str, start_id: str, place: Place | None = None) -> Call[Server]:
    """The hub's: the server was started for this preparation; `place` is its container's."""
    body = Started(start_id=start_id, place=place)
    return Call("POST", f"{_server(user, name)}/started", Server, body=body)


def ended(user: str, name: str, start_id: str | None = None) -> Call[Server]:
    """The hub's: the server of this start ended."""
    return Call("POST", f"{_server(user, name)}/ended", Server, body=Ended(start_id=start_id))


def stop(user: str, name: str) -> Call[Server]:
    """Have the hub stop a server; it is saved then."""
    return Call("POST", f"{_server(user, name)}/stop", Server)


def discard(user: str, name: str) -> Call[Server]:
    """Give up what an ended server changed and did not save."""
    return Call("DELETE", f"{_server(user, name)}/unsaved", Server)


def cancel(id_: str) -> Call[Checkpoint]:
    """Stop a save that was asked for."""
    return Call("POST", f"{_checkpoint(id_)}/cancel", Checkpoint)


def undo_restore(user: str, name: str) -> Call[Server]:
    """Undo a choice to go back."""
    return Call("DELETE", f"{_server(user, name)}/continuation", Server)


def save(request: CheckpointRequest) -> Call[Checkpoint]:
    """Save a server now."""
    return Call("POST", "checkpoints", Checkpoint, body=request)


def checkpoints(
    *,
    user: str | None = None,
    server: str | None = None,
    shared: bool = False,
    cursor: str | None = None,
    limit: int = 50,
) -> Call[Page[Checkpoint]]:
    """Checkpoints, newest first; `server` is a JupyterHub name, all servers for None.

    With `shared` those of others, which they share.
    """
    segment = server_segment(server) if server is not None else None
    params = _params(user=user, server=segment, cursor=cursor, limit=limit)
    if shared:
        params["shared"] = True
    return Call("GET", "checkpoints", Page[Checkpoint], params=params)


def checkpoint(id_: str) -> Call[Checkpoint]:
    """One checkpoint."""
    return Call("GET", _checkpoint(id_), Checkpoint)


def changes(id_: str, against: str = "base") -> Call[Changes]:
    """What differs from `base`, `parent`, or another checkpoint's id."""
    return Call("GET", f"{_checkpoint(id_)}/changes", Changes, params={"against": against})


def requirements(id_: str) -> Call[bytes]:
    """The environment's own packages as a requirements file."""
    return Call("GET", f"{_checkpoint(id_)}/requirements", bytes)


def edit(id_: str, change: CheckpointEdit) -> Call[Checkpoint]:
    """Change the note or the pin."""
    return Call("PATCH", _checkpoint(id_), Checkpoint, body=change)


def share(id_: str, principal: str) -> Call[Checkpoint]:
    """Let `user:NAME`, `group:NAME` or `everyone` start from it."""
    return Call("PUT", f"{_checkpoint(id_)}/grants/{quote(principal, safe='')}", Checkpoint)


def take_back(id_: str, principal: str) -> Call[Checkpoint]:
    """Share it with them no more."""
    return Call("DELETE", f"{_checkpoint(id_)}/grants/{quote(principal, safe='')}", Checkpoint)


def restore(id_: str, *, stop: bool = False) -> Call[Server]:
    """Go back: the server's next start begins from this checkpoint; `stop` ends it now."""
    return Call("POST", f"{_checkpoint(id_)}/restore", Server, body=RestoreRequest(stop=stop))


def rebase(id_: str) -> Call[Checkpoint]:
    """Have what it has installed over the newest base: the checkpoint that comes of it."""
    return Call("POST", f"{_checkpoint(id_)}/rebase", Checkpoint)


def delete(id_: str) -> Call[None]:
    """Delete a checkpoint that nobody needs."""
    return Call("DELETE", _checkpoint(id_), type(None))


def _server(user: str, name: str) -> str:
    return f"servers/{quote(user, safe='')}/{quote(server_segment(name), safe='')}"


def _checkpoint(id_: str) -> str:
    return f"checkpoints/{quote(id_, safe='')}"


def _params(**values: str | int | None) -> dict[str, str | int | bool]:
    return {name: value for name, value in values.items() if value is not None}
