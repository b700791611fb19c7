"""Who may see and do what, and names that nobody should have."""

from __future__ import annotations

from pathlib import Path

import pytest
from atoll.checkpoints import client
from atoll.checkpoints.models import CheckpointEdit, StartRequest
from atoll.kit.errors import (
    AtollError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnauthenticatedError,
)
from atoll.kit.home import Home

from .platform import Atoll, wheel
from .service_under_test import HubStub


def test_another_users_servers_and_checkpoints_do_not_exist(
    atoll: Atoll, hub: HubStub, tmp_path: Path
) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    saved = atoll.save()

    for call in (
        client.server("ada", ""),
        client.stop("ada", ""),
        client.undo_restore("ada", ""),
        client.checkpoint(saved.id),
        client.changes(saved.id),
        client.requirements(saved.id),
        client.edit(saved.id, CheckpointEdit(note="mine")),
        client.restore(saved.id, stop=True),
        client.delete(saved.id),
        client.checkpoints(user="ada"),
    ):
        with pytest.raises(NotFoundError):
            atoll.send(call, "bob")  # type: ignore[arg-type]  # calls of many types
    assert atoll.send(client.checkpoints(), "bob").items == []
    assert atoll.send(client.servers(), "bob").items == []
    assert hub.stopped == []


def test_comparing_with_anothers_checkpoint_reveals_nothing(atoll: Atoll, tmp_path: Path) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    adas = atoll.save()
    atoll.start(user="bob")
    bobs = atoll.save(user="bob")

    with pytest.raises(NotFoundError):
        atoll.send(client.changes(bobs.id, against=adas.id), "bob")


def test_an_administrator_sees_everything(atoll: Atoll, tmp_path: Path) -> None:
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    saved = atoll.save()

    assert atoll.send(client.checkpoint(saved.id), "admin").id == saved.id
    assert [one.user for one in atoll.send(client.servers(), "admin").items] == ["ada"]


@pytest.mark.parametrize("who", ["ada", "ada-server", "admin"])
def test_only_the_hub_prepares_and_ends_servers(atoll: Atoll, who: str) -> None:
    for call in (
        client.start("ada", "", StartRequest()),
        client.preparation("ada", ""),
        client.started("ada", "", "st-0"),
        client.ended("ada", ""),
    ):
        with pytest.raises(ForbiddenError):
            atoll.send(call, who)  # type: ignore[arg-type]  # calls of two types


def test_a_token_without_the_scope_and_one_of_nobody_are_refused(atoll: Atoll) -> None:
    with pytest.raises(ForbiddenError):
        atoll.send(client.servers(), "noscope")
    with pytest.raises(UnauthenticatedError):
        atoll.send(client.servers(), "expired")


@pytest.mark.parametrize(
    "user",
    ["../../etc", "..", ".", "ada lovelace", "Ada", "ADA", "é" * 200, "a" * 255, "-", "a--b"],
)
def test_no_user_name_leads_out_of_the_environments(atoll: Atoll, home: Home, user: str) -> None:
    if "/" in user or user in (".", ".."):
        with pytest.raises(AtollError):  # no such user, or no such address at all
            atoll.send(client.start(user, "", StartRequest()), "hub")
        assert list(home.environments.iterdir()) == []
        return
    prepared = atoll.prepare(user=user)

    path = Path(prepared.path)
    assert path.parent.parent.parent == home.environments
    assert path.resolve() == path
    assert path.parent.name == "-"


def test_users_who_differ_in_case_alone_share_nothing(atoll: Atoll) -> None:
    paths = {atoll.prepare(user=user).path.lower() for user in ("ada", "Ada", "ADA", "a-da")}

    assert len(paths) == 4


@pytest.mark.parametrize(
    "name", ["..", "Gpu", "a" * 31, "a--b", "a_b", "-a", "a b", "1a", "é", "a%2fb"]
)
def test_only_names_of_the_hubs_own_grammar_name_servers(atoll: Atoll, name: str) -> None:
    with pytest.raises((InvalidError, NotFoundError)):
        atoll.send(client.start("ada", name, StartRequest()), "hub")


@pytest.mark.parametrize("id_", ["x", "k-" + "0" * 22, "../servers", "'; DROP TABLE servers", "é"])
def test_an_id_of_nothing_is_not_found(atoll: Atoll, id_: str) -> None:
    with pytest.raises(NotFoundError):
        atoll.send(client.checkpoint(id_))


@pytest.mark.parametrize("choice", ["sha256:xyz", "latest", "../x", ""])
def test_a_choice_that_is_none_is_invalid(atoll: Atoll, choice: str) -> None:
    request = StartRequest.model_construct(_fields_set={"environment"}, environment=choice)
    with pytest.raises(InvalidError):
        atoll.send(client.start("ada", "", request), "hub")
