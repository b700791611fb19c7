"""How long the service goes by what the hub said of a job's user."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.jobs import store
from atoll.jobs.identities import Identities
from atoll.jobs.models import JobStatus, JobTarget
from atoll.jobs.service import MIGRATIONS
from atoll.jobs.store import JobRow
from atoll.jobs.tokens import hash_of
from atoll.kit import db
from atoll.kit.db import Database, now
from atoll.kit.errors import UnauthenticatedError, UnavailableError

from tests.databases import DATABASES

TOKEN = "job-" + "1" * 56


class Hub:
    """A hub whose users, state and clock are the test's."""

    def __init__(self) -> None:
        self.users: dict[str, frozenset[str]] = {"ada": frozenset({"modelers"})}
        self.away = False
        self.asked = 0
        self.seconds = 0.0

    def groups(self, user: str) -> frozenset[str] | None:
        self.asked += 1
        if self.away:
            raise UnavailableError("away")
        return self.users.get(user)


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def identities(tmp_path: Path, hub: Hub) -> Iterator[Identities]:
    database = Database(DATABASES.url(tmp_path / "jobs.sqlite"))
    database.upgrade([Path(db.__file__).parent / "migrations" / "versions", MIGRATIONS])
    row = JobRow(
        id="j-1", created_at=now(), user="ada", name="n", kernel="python3", language="python",
        choice="base", queue="default", target=JobTarget.DONE, status=JobStatus.RUNNING,
        timeout_s=60, token_hash=hash_of(TOKEN),
    )  # fmt: skip
    with database.write() as session:
        store.add_job(session, row, b"{}")
    yield Identities(database, hub, clock=lambda: hub.seconds)
    database.close()


def test_what_reads_goes_by_what_was_said_ten_seconds_ago(identities: Identities, hub: Hub) -> None:
    for hub.seconds in (0.0, 5.0, 9.9):
        caller = identities.caller(TOKEN, fresh=False)
        assert caller is not None
        assert caller.principals == {"user:ada", "group:modelers", "everyone"}
    assert hub.asked == 1
    hub.seconds = 10.0
    identities.caller(TOKEN, fresh=False)
    identities.caller(TOKEN, fresh=True)
    assert hub.asked == 3


def test_who_is_gone_is_refused_also_while_the_hub_is_away(
    identities: Identities, hub: Hub
) -> None:
    identities.caller(TOKEN, fresh=False)
    hub.users.clear()
    for hub.away in (False, True):
        hub.seconds += 11
        with pytest.raises(UnauthenticatedError):
            identities.caller(TOKEN, fresh=False)


def test_while_the_hub_is_away_what_is_known_lets_read_and_not_change(
    identities: Identities, hub: Hub
) -> None:
    hub.away = True
    with pytest.raises(UnavailableError):
        identities.caller(TOKEN, fresh=False)
    hub.away = False
    identities.caller(TOKEN, fresh=True)
    hub.away, hub.seconds = True, 3600.0
    assert identities.caller(TOKEN, fresh=False) is not None
    with pytest.raises(UnavailableError):
        identities.caller(TOKEN, fresh=True)


def test_others_tokens_are_not_asked_about(identities: Identities, hub: Hub) -> None:
    assert identities.caller("job-" + "2" * 56, fresh=True) is None
    assert hub.asked == 0
