"""Each part of the platform is killed with -9: it is back within seconds, and servers run on."""

from __future__ import annotations

import os
import signal

import httpx
import pytest
from atoll.apps.platform_state import Phase

from tests.platform.driver import Platform, User, atoll, eventually

pytestmark = pytest.mark.platform

BACK_S = 40.0
"""Within seconds; the rest is for a test machine that does other things too."""


@pytest.fixture
def ada(platform: Platform) -> User:
    """A user whose server runs."""
    user = platform.user("ada")
    if "" not in user.servers():
        user.start()
    return user


def _server_answers(user: User) -> bool:
    try:
        return user.lab().get("api/status").status_code == 200
    except (httpx.HTTPError, AssertionError):
        return False


@pytest.mark.parametrize("part", ["proxy", "hub", "service"])
def test_a_killed_part_is_back_and_the_server_runs_on(
    platform: Platform, ada: User, part: str
) -> None:
    server = ada.lab().process.pid
    before = platform.pid(part)
    os.kill(before, signal.SIGKILL)
    eventually(lambda: platform.part(part), lambda now: now not in (None, before), BACK_S)
    eventually(lambda: _all_answers(platform), bool, BACK_S)
    eventually(lambda: _server_answers(ada), bool, BACK_S)
    assert ada.lab().process.pid == server
    assert "" in ada.servers()


def test_all_parts_killed_at_once_are_back(platform: Platform, ada: User) -> None:
    server = ada.lab().process.pid
    before = [platform.pid(part) for part in ("proxy", "hub", "service")]
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(
        lambda: {platform.part(part) for part in ("proxy", "hub", "service")},
        lambda now: now.isdisjoint([None, *before]),
        BACK_S,
    )
    eventually(lambda: _all_answers(platform), bool, BACK_S)
    eventually(lambda: _server_answers(ada), bool, BACK_S)
    assert ada.lab().process.pid == server


def test_a_killed_supervisor_is_replaced_and_everything_is_kept(
    platform: Platform, ada: User
) -> None:
    server = ada.lab().process.pid
    parts = [platform.pid(part) for part in ("proxy", "hub", "service")]
    port = httpx.URL(platform.url).port
    os.kill(platform.pid("supervisor"), signal.SIGKILL)
    eventually(lambda: platform.status.phase, lambda phase: phase is Phase.DOWN)
    assert _server_answers(ada)
    atoll(platform.home, "up", "--detach", "--port", str(port))
    assert [platform.pid(part) for part in ("proxy", "hub", "service")] == parts
    assert ada.lab().process.pid == server
    assert _server_answers(ada)


def test_a_server_can_be_stopped_and_started_after_all_that(platform: Platform, ada: User) -> None:
    ada.stop()
    ada.saved()
    ada.start()
    ada.stop()


def _all_answers(platform: Platform) -> bool:
    try:
        return all(
            httpx.get(f"{platform.url}{path}", trust_env=False).status_code == 200
            for path in ("hub/login", "services/atoll/readyz")
        )
    except httpx.HTTPError:
        return False
