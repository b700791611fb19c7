"""Who the hub says is calling: what a token may, and nothing that it may for others alone."""

from __future__ import annotations

import pytest
from atoll.kit.hub import ADMIN, HUB, USE, Caller, _HubUser, caller_from_hub


def ada(*scopes: str, kind: str = "user") -> Caller:
    return caller_from_hub(_HubUser(kind=kind, name="ada", scopes=list(scopes)))


def test_scopes_without_a_filter_are_held() -> None:
    assert ada(USE, ADMIN, HUB, "admin:users").scopes == {USE, ADMIN, HUB}


def test_a_users_own_filter_is_no_bound_to_their_use() -> None:
    assert ada(f"{USE}!user=ada").scopes == {USE}
    assert ada(f"{USE}!user=ada").server is None


@pytest.mark.parametrize(("server", "name"), [("ada/big", "big"), ("ada/", "")])
def test_a_servers_token_names_its_server(server: str, name: str) -> None:
    caller = ada(f"{USE}!server={server}")
    assert (caller.scopes, caller.server) == ({USE}, name)


@pytest.mark.parametrize(
    "filter_",
    ["group=team", "user=bob", "server=bob/x", "server=ada", "user=ada/x", "user", "", "x=ada"],
)
def test_a_filter_of_something_else_is_nothing(filter_: str) -> None:
    caller = ada(f"{USE}!{filter_}")
    assert (caller.scopes, caller.server) == (frozenset(), None)


@pytest.mark.parametrize("scope", [ADMIN, HUB])
@pytest.mark.parametrize("filter_", ["group=team", "user=ada", "server=ada/x"])
def test_nobody_administers_by_a_scope_that_was_narrowed(scope: str, filter_: str) -> None:
    caller = ada(USE, f"{scope}!{filter_}")
    assert (caller.scopes, caller.admin) == ({USE}, False)


def test_a_service_is_no_user_of_its_name() -> None:
    caller = ada(f"{USE}!user=ada", kind="service")
    assert (caller.name, caller.scopes) == ("service:ada", frozenset())
