"""Bodies that are too large: refused before they fill the memory, and not read for strangers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from atoll.kit.home import Home
from atoll.kit.web import BODY_MOST

from .whole import whole_service

MANY = 200


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with whole_service(Home(tmp_path_factory.mktemp("service") / "home")) as address:
        yield address


def post(url: str, path: str, content: object, token: str = "ada") -> httpx.Response:
    headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
    return httpx.post(f"{url}/api/v1/{path}", headers=headers, content=content, timeout=60)  # type: ignore[arg-type]


def refused(answer: httpx.Response) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    return (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("path", ["checkpoints", "datasets", "checkpoints/c-1/restore"])
def test_a_body_beyond_the_limit_is_refused(url: str, path: str) -> None:
    assert refused(post(url, path, b"x" * (BODY_MOST + 1)))


def test_a_body_below_the_limit_is_read(url: str) -> None:
    answer = post(url, "checkpoints", b"x" * BODY_MOST)
    assert answer.status_code == 422


def test_a_body_that_does_not_say_its_length_is_counted(url: str) -> None:
    pieces = (b"x" * BODY_MOST for _ in range(MANY))
    assert refused(post(url, "checkpoints", pieces))


def without_body(url: str, path: str, token: str, length: int) -> bytes:
    """The answer's beginning to a request that says its length and sends nothing more."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(
            f"POST {address.path}/api/v1/{path} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: token {token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {length}\r\n\r\n".encode()
        )
        return connection.recv(1 << 16)


def test_a_length_beyond_the_limit_is_refused_before_anything_is_read(url: str) -> None:
    answer = without_body(url, "checkpoints", "ada", 1 << 40)
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(("token", "status"), [("nobody", 401), ("ada", 413)])
def test_nothing_of_a_strangers_notebook_is_read(url: str, token: str, status: int) -> None:
    answer = without_body(url, "jobs", token, 1 << 40)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


def test_a_notebook_may_be_larger(url: str) -> None:
    text = {"cell_type": "markdown", "metadata": {}, "source": "x" * (3 * BODY_MOST)}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = {"cells": [text], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    answer = post(url, "jobs/inspect", json.dumps({"notebook": notebook}).encode())
    assert answer.status_code == 200, answer.text
