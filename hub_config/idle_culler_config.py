"""What the culler reads: which servers count as idle, by their profiles."""

from __future__ import annotations

from atoll.hub.arbiter import Arbiter
from atoll.kit.home import Home
from atoll.kit.settings import load

from hub_config.settings import HubSettings

_hub = load(HubSettings, Home.find().settings).hub
c = get_config()  # type: ignore[name-defined]  # noqa: F821  # traitlets puts it here
c.IdleCuller.cull_arbiter_hook = Arbiter(
    default_s=_hub.cull_after_s,
    by_profile={name: one.idle_s for name, one in _hub.profiles.items() if one.idle_s is not None},
)
