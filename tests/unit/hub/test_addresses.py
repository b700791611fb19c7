"""Ports of one platform."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from atoll.apps import addresses
from atoll.kit.errors import ConflictError
from atoll.kit.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def test_the_inner_ports_stay_the_same(home: Home) -> None:
    assert addresses.inside(home, keep=False) == addresses.inside(home, keep=False)


def test_an_inner_port_that_was_taken_is_replaced_unless_it_is_ours(home: Home) -> None:
    first = addresses.inside(home, keep=False)
    with socket.create_server(("127.0.0.1", first.hub)):
        assert addresses.inside(home, keep=True) == first
        assert first.hub not in addresses.ports(addresses.inside(home, keep=False))


def test_a_public_port_that_is_taken_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConflictError, match=f"Port {port} is in use.*--port"):
            addresses.check_public("127.0.0.1", port)


def test_an_address_that_is_not_this_machines_says_so() -> None:
    with pytest.raises(ConflictError, match=r"cannot listen on 192\.0\.2\.1"):
        addresses.check_public("192.0.2.1", 8000)


@pytest.mark.parametrize(
    ("host", "url"), [("127.0.0.1", "http://127.0.0.1:1/"), ("::1", "http://[::1]:1/")]
)
def test_the_address_that_people_open(host: str, url: str) -> None:
    inside = addresses.Inside(hub=2, proxy_api=3, service=4)
    assert addresses.Addresses(host=host, port=1, inside=inside).url == url
