"""`atoll checkpoints`, `atoll servers` and `atoll.checkpoint`, against the whole service."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.checkpoints import client
from atoll.checkpoints.models import StartRequest
from atoll.kit.db import Database
from atoll.kit.home import Home
from atoll.kit.http import Connection
from sqlalchemy import text

from tests.databases import url_of

from .conftest import Shell


@pytest.fixture
def server(service: str) -> Iterator[Path]:
    """The environment of ada's running default server, started as the hub starts it."""
    with Connection(f"{service}/api/v1/", "hub") as hub:
        found = hub.send(client.start("ada", "", StartRequest()))
        deadline = time.monotonic() + 60
        while not found.ready:
            assert time.monotonic() < deadline, found
            found = hub.send(client.preparation("ada", "", version=found.version, wait_s=5))
        process = subprocess.Popen(["sleep", "1000"], env=found.variables)
        hub.send(client.started("ada", "", found.start_id))
        yield Path(found.path)
        process.kill()
        process.wait()
        hub.send(client.ended("ada", ""))


def test_saving_listing_comparing_going_back_and_deleting(ada: Shell, server: Path) -> None:
    (server / "notes.txt").write_text("one")
    first = ada.atoll("checkpoints", "save", "-", "--note", "one").stdout.strip()
    (server / "tool").mkdir()
    (server / "tool" / "data").write_text("two")
    second = ada.json("checkpoints", "save", "-", "-m", "two")
    assert second["status"] == "ready"
    listed = ada.atoll("checkpoints", "list", "--server", "-").stdout
    assert first in listed
    assert "current" in listed
    assert "tool" in ada.atoll("checkpoints", "changes", second["id"], "--against", first).stdout
    assert "one" in ada.atoll("checkpoints", "show", first).stdout
    restored = ada.json("checkpoints", "restore", first)
    assert restored["continues_from"] == ada.json("checkpoints", "show", first)["digest"]
    code = (
        "import atoll\n"
        "saved = atoll.checkpoint('three', server='-')\n"
        "print(saved.status, saved.digest.startswith('sha256:'), len(atoll.checkpoints('-')) >= 2)\n"
    )
    assert ada.python(code) == "ready True True"
    ada.atoll("checkpoints", "show", first, status=0)
    ada.as_("bob").atoll("checkpoints", "show", first, status=4)
    assert "running" in ada.atoll("servers", "list").stdout
    assert ada.json("servers", "list")[0]["user"] == "ada"


def test_what_cannot_be_is_told_in_a_sentence(ada: Shell) -> None:
    ada.atoll("checkpoints", "show", "k-0192f0c1a2b3c4d5e6f7a8", status=4)
    said = ada.atoll("checkpoints", "save", "nosuchserver", status=5).stderr
    assert "not started yet" in said
    ada.atoll("checkpoints", "delete", "k-0192f0c1a2b3c4d5e6f7a8", "--yes", status=4)


def test_stopping_a_server_that_never_ran_says_so_in_words(ada: Shell) -> None:
    bob = ada.as_("bob")
    assert "Your default server has never run" in bob.atoll("servers", "stop", status=4).stderr
    assert "Your server 'gpu' has" in bob.atoll("servers", "stop", "gpu", status=4).stderr
    others = ada.as_("admin")
    said = others.atoll("servers", "stop", "nosuch", status=4).stderr
    assert "nosuch" in said


def test_rebasing_says_what_is_not_in_it_and_how_to_go_over(
    ada: Shell, server: Path, home: Home
) -> None:
    (server / "notes.txt").write_text("to be rebased")
    old = ada.json("checkpoints", "save", "-", "-m", "to be rebased")["id"]
    said = ada.atoll("checkpoints", "rebase", old, status=5).stderr
    assert "newest base already" in said
    ada.as_("bob").atoll("checkpoints", "rebase", old, status=4)
    database = Database(url_of(home))
    with database.write() as session:
        session.execute(text("UPDATE checkpoints SET platform_version = '0.0.1'"))
    database.close()

    done = ada.atoll("checkpoints", "rebase", old)

    new = done.stdout.strip()
    assert "Not in it: notes.txt: 1 file" in " ".join(done.stderr.split())
    assert f"atoll checkpoints restore {new}" in " ".join(done.stderr.split())
    assert ada.json("checkpoints", "show", new)["trigger"] == "rebase"
    code = (
        "import atoll\n"
        "found = next(one for one in atoll.checkpoints('-') if one.note == 'to be rebased')\n"
        "print(found.left_out[0].path, found.rebase().status)\n"
    )
    database = Database(url_of(home))
    with database.write() as session:
        session.execute(text("UPDATE checkpoints SET platform_version = '0.0.1'"))
    database.close()
    assert ada.python(code) == "notes.txt ready"
