"""The whole platform with both of its databases on one server: the hub's own and the service's."""

from __future__ import annotations

from pathlib import Path

import httpx
import psycopg
import pytest
from atoll.kit.home import Home

from tests.databases import VARIABLE, Server
from tests.platform.driver import Platform, User, eventually, make_wheel, running


def users_of_hub(server: Server) -> set[str]:
    """The names in the hub's own table."""
    with psycopg.connect(f"host={server.folder} user=atoll dbname=hub") as connection:
        return {name for (name,) in connection.execute("SELECT name FROM users")}


def asked(platform: Platform, token: str, path: str = "hub/api/user") -> httpx.Response:
    """What the platform answers to a user's token, which is in the hub's database."""
    headers = {"Authorization": f"token {token}"}
    return httpx.get(f"{platform.url}{path}", headers=headers, timeout=30, trust_env=False)


def hub_answers(platform: Platform, token: str) -> bool:
    """Whether the hub knows the token."""
    return asked(platform, token).status_code == 200


def told_to_try_again(platform: Platform, user: User, token: str) -> None:
    """Who asks while the databases are away is no stranger: 503 everywhere, with words."""
    for answer in (asked(platform, token), user.api("GET", "users/kim")):
        assert answer.status_code == 503, answer.text
        assert answer.headers["retry-after"] == "10"
        assert "Try again in a moment" in answer.json()["message"]
    for page in ("home", "spawn/kim", "login", "spawn-pending/kim"):
        found = user.http.get(f"hub/{page}")
        assert found.status_code == 503, (page, found.text)
        assert "The hub&#39;s database does not answer" in found.text
    assert asked(platform, token, "services/atoll/api/v1/jobs").status_code == 503


@pytest.mark.timeout(300)
def test_stop_means_saved_with_everything_on_postgresql(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATOLL_HUB__DATABASE", server.create("hub"))
    monkeypatch.setenv(VARIABLE, server.create("atoll"))
    home = Home(tmp_path / "home")
    with running(home) as platform:
        kim = platform.user("kim")
        kim.start()
        lab = kim.lab()
        lab.run("pip", "install", "--no-index", str(make_wheel(tmp_path, "seashell", "1.0")))
        token = kim.token()
        for end in (server.stop, server.kill):
            end()
            told_to_try_again(platform, kim, token)
            assert lab.run("seashell").stdout == "seashell 1.0\n"  # who works goes on
            server.start()
            eventually(lambda: hub_answers(platform, token), bool)
            assert kim.http.get("hub/home").status_code == 200
        kim.stop()
        kim.saved()
        assert "kim" in users_of_hub(server)
        assert not (home.hub / "jupyterhub.sqlite").exists()
        assert not (home.service / "atoll.sqlite").exists()

    with running(home) as platform:
        kim = platform.user("kim")
        assert hub_answers(platform, token)
        kim.start()
        assert kim.lab().run("seashell").stdout == "seashell 1.0\n"
        kim.stop()
