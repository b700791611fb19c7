"""Which idle servers are stopped: each by the rule of its profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Arbiter:
    """Seconds without activity, by profile; 0: never. `default_s` is for all other profiles."""

    default_s: int
    by_profile: Mapping[str, int]

    def __call__(
        self, *, inactive: timedelta | None, server: Mapping[str, Any], **_: object
    ) -> bool:
        """Whether the server is to be stopped; `server` is the hub's model of it."""
        profile = str((server.get("user_options") or {}).get("profile") or "")
        limit = self.by_profile.get(profile, self.default_s)
        return bool(limit) and inactive is not None and inactive.total_seconds() >= limit
