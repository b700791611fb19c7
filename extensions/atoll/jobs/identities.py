"""Who calls with a job's token: the user who submitted it, as the hub knows them now."""

from __future__ import annotations

import time
from collections.abc import Callable

from atoll.jobs import store
from atoll.jobs.ground import Users
from atoll.jobs.tokens import hash_of
from atoll.kit.db import Database
from atoll.kit.errors import UnauthenticatedError, UnavailableError
from atoll.kit.hub import REMEMBERED_S, USE, Caller

Groups = frozenset[str] | None
"""None where the hub has no such user."""


class Identities:
    """Identifies the tokens of running jobs. Blocking."""

    def __init__(
        self, database: Database, users: Users, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._users = users
        self._clock = clock
        self._remembered: dict[str, tuple[float, Groups]] = {}

    def caller(self, token: str, *, fresh: bool) -> Caller | None:
        """The job's user; None for other tokens and ended jobs. `fresh` asks the hub anew.

        Raises UnauthenticatedError where the user is gone, UnavailableError where the hub is away.
        """
        with self._database.read() as session:
            row = store.by_token(session, hash_of(token))
        if row is None:
            return None
        groups = self._groups(row.user, fresh)
        if groups is None:
            raise UnauthenticatedError(
                f"The hub no longer knows {row.user}, whose job this is.",
                hint="The job runs to its end; on the platform it can do no more.",
            )
        return Caller(row.user, groups, frozenset({USE}), server=row.server, job=row.id)

    def _groups(self, user: str, fresh: bool) -> Groups:
        """The user's groups; what only reads goes by what was known last while the hub is away."""
        asked, groups = self._remembered.get(user, (None, None))
        if not fresh and asked is not None and self._clock() - asked < REMEMBERED_S:
            return groups
        try:
            groups = self._users.groups(user)
        except UnavailableError:
            if fresh or asked is None:
                raise
            return groups
        self._remembered[user] = (self._clock(), groups)
        return groups
