"""The nodes' login: it pulls what the platform keeps, and opens nothing else."""

from __future__ import annotations

import base64
from pathlib import Path

import jwt
import pytest
from atoll.checkpoints.registry_pulls import Pulls, pulls
from atoll.checkpoints.settings import RegistrySettings
from atoll.kit.errors import NotFoundError, UnauthenticatedError
from atoll.kit.home import Home

SETTINGS = RegistrySettings(address="registry.example", issuer="atoll", service="registry")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.create()
    return home


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def access(token: str) -> list[dict[str, object]]:
    claims = jwt.decode(token, options={"verify_signature": False})
    return [dict(one) for one in claims["access"]]


def test_it_pulls_and_never_pushes(home: Home) -> None:
    answer = Pulls(home, SETTINGS).token(["repository:atoll/ada:pull,push,delete"])
    assert access(answer.token) == [
        {"type": "repository", "name": "atoll/ada", "actions": ["pull"]}
    ]
    assert answer.token == answer.access_token
    assert 0 < answer.expires_in <= SETTINGS.token_s


def test_what_is_not_the_platforms_is_not_opened(home: Home) -> None:
    issuer = Pulls(home, SETTINGS)
    for scope in (
        "repository:other/ada:pull",
        "registry:catalog:*",
        "repository:atollx/a:pull",
        "",
    ):
        with pytest.raises(NotFoundError):
            issuer.token([scope])
    both = issuer.token(["repository:other/x:pull", "repository:atoll/ada:pull"])
    assert [one["name"] for one in access(both.token)] == ["atoll/ada"]


@pytest.mark.parametrize(
    "said", ["", "Basic", "Basic !", basic("puller:wrong"), basic("admin:x"), "Bearer x"]
)
def test_others_are_nobody(home: Home, said: str) -> None:
    with pytest.raises(UnauthenticatedError):
        Pulls(home, SETTINGS).check(said)


def test_the_nodes_are_known(home: Home) -> None:
    password = home.secret("registry-puller")
    Pulls(home, SETTINGS).check(basic(f"puller:{password}"))


def test_a_registry_without_tokens_needs_none(home: Home) -> None:
    assert pulls(home, RegistrySettings(address="registry.example")) is None
    assert pulls(home, RegistrySettings()) is None
