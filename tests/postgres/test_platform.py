"""The whole platform with both of its databases on one server: the hub's own and the service's."""

from __future__ import annotations

from pathlib import Path

import httpx
import psycopg
import pytest
from atoll.kit.home import Home

from tests.databases import VARIABLE, Server
from tests.platform.driver import Platform, eventually, make_wheel, running


def users_of_hub(server: Server) -> set[str]:
    """The names in the hub's own table."""
    with psycopg.connect(f"host={server.folder} user=atoll dbname=hub") as connection:
        return {name for (name,) in connection.execute("SELECT name FROM users")}


def hub_answers(platform: Platform, token: str) -> bool:
    """Whether the hub knows a user's token, which is in its database."""
    headers = {"Authorization": f"token {token}"}
    answer = httpx.get(f"{platform.url}hub/api/user", headers=headers, trust_env=False)
    return answer.status_code == 200


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
        kim.lab().run("pip", "install", "--no-index", str(make_wheel(tmp_path, "seashell", "1.0")))
        token = kim.token()
        server.kill()
        assert not hub_answers(platform, token)
        server.start()
        eventually(lambda: hub_answers(platform, token), bool)
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
