"""Which platform, and as whom: the environment before the login, and files that keep secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
from atoll.kit.errors import InvalidError, UnauthenticatedError
from atoll.kit.session import Credentials, Login, Session, find, service_url

HERE = "http://127.0.0.1:8000/services/atoll/"
THERE = "https://hub.example/base/services/atoll/"


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials.find({"XDG_CONFIG_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("http://127.0.0.1:8000", HERE),
        ("127.0.0.1:8000/", HERE),
        (HERE, HERE),
        ("http://127.0.0.1:8000/hub/spawn-pending/ada", HERE),
        ("http://ada:secret@127.0.0.1:8000/user/ada/lab/tree/x.ipynb?reset#a", HERE),
        ("https://hub.example/base/hub/home", THERE),
    ],
)
def test_any_address_of_the_platform_leads_to_its_service(address: str, url: str) -> None:
    assert service_url(address) == url


@pytest.mark.parametrize("address", ["", "ftp://host", "file:///etc/passwd", "http://"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidError, match="no address"):
        service_url(address)


def test_a_jobs_token_comes_before_the_servers_and_that_before_the_login(
    credentials: Credentials,
) -> None:
    credentials.keep(HERE, Login("ada", "kept"))
    server = {"ATOLL_URL": HERE, "JUPYTERHUB_API_TOKEN": "servers", "JUPYTERHUB_USER": "ada"}
    assert find({**server, "ATOLL_TOKEN": "jobs"}, credentials).token == "jobs"
    assert find(server, credentials).token == "servers"
    assert find({}, credentials).token == "kept"


def test_a_hub_token_without_the_platforms_address_is_not_sent_anywhere(
    credentials: Credentials,
) -> None:
    with pytest.raises(UnauthenticatedError, match="not logged in"):
        find({"JUPYTERHUB_API_TOKEN": "servers"}, credentials)


def test_a_token_without_an_address_says_what_is_missing(credentials: Credentials) -> None:
    with pytest.raises(UnauthenticatedError, match="ATOLL_URL is not"):
        find({"ATOLL_TOKEN": "t"}, credentials)


def test_the_address_chooses_between_several_logins(credentials: Credentials) -> None:
    credentials.keep(HERE, Login("ada", "here"))
    credentials.keep(THERE, Login("ada", "there"))
    assert find({}, credentials).url == THERE
    assert find({"ATOLL_URL": "http://127.0.0.1:8000"}, credentials).token == "here"
    with pytest.raises(UnauthenticatedError, match="http://elsewhere/"):
        find({"ATOLL_URL": "http://elsewhere"}, credentials)


def test_forgetting_the_current_login_makes_another_the_current_one(
    credentials: Credentials,
) -> None:
    credentials.keep(HERE, Login("ada", "here"))
    credentials.keep(THERE, Login("ada", "there"))
    credentials.forget(THERE)
    assert credentials.read() == (HERE, {HERE: Login("ada", "here")})
    credentials.forget(HERE)
    assert credentials.read() == ("", {})


def test_credentials_are_their_owners_alone(credentials: Credentials) -> None:
    credentials.keep(HERE, Login("ada", "here"))
    assert credentials.path.stat().st_mode & 0o777 == 0o600
    assert credentials.path.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in credentials.path.parent.iterdir()] == ["credentials.json"]
    credentials.path.chmod(0o644)
    with pytest.raises(UnauthenticatedError, match="chmod 600"):
        find({}, credentials)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"current": "x", "logins": {"x": {"a": 1}}}'])
def test_damaged_credentials_say_what_to_do(credentials: Credentials, text: str) -> None:
    credentials.keep(HERE, Login("ada", "here"))
    credentials.path.write_text(text)
    with pytest.raises(UnauthenticatedError, match=r"Delete it and run `atoll login`"):
        find({}, credentials)


def test_tokens_are_never_shown() -> None:
    assert "secret" not in repr(Session(HERE, "secret", "somewhere"))
    assert "secret" not in repr(Login("ada", "secret"))


def test_the_hub_is_beside_the_service() -> None:
    session = Session(THERE, "t", "")
    assert session.hub_url == "https://hub.example/base/hub/"
    assert session.api_url == "https://hub.example/base/services/atoll/api/v1/"
