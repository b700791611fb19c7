"""A user's one home: what any of her servers was given first, all the others have.

JupyterHub keeps the state of each server, and that of a named one goes with it. So where the home is
lies in the state of the default server too, which cannot be removed before its user is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

HOME_PATH: Final = "home_path"
"""Of a server's state: the home's directory in the volume of all homes."""
CLAIM: Final = "pvc_name"
"""Likewise, and KubeSpawner's: the claim that the home is, once there is one."""


def remembered(user: Any, what: str) -> str | None:
    """What the servers of JupyterHub's `user` know of her home; None before the first start of any."""
    servers = sorted(user.orm_user.orm_spawners.values(), key=lambda one: (one.name != "", one.id))
    for server in servers:
        state: Mapping[str, Any] = server.state or {}
        if found := state.get(what):
            return str(found)
    return None


def remember(user: Any, state: Mapping[str, Any]) -> None:
    """Keep what the state of a named server says of the home in the default server's too."""
    default = user.spawners[""]
    known = default.get_state()
    more = {what: state[what] for what in (HOME_PATH, CLAIM) if what in state and what not in known}
    if more:
        default.load_state({**known, **more})
        default.orm_spawner.state = default.get_state()
        default.db.commit()
