"""Environments that others share: who may start from them, and what becomes of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from atoll.checkpoints import client
from atoll.checkpoints.models import Checkpoint, CheckpointEdit, ServerStatus, StartRequest
from atoll.checkpoints.settings import CheckpointSettings
from atoll.kit.errors import (
    AtollError,
    ConflictError,
    NotFoundError,
)
from atoll.kit.http import Call

from .platform import Atoll, Running, wheel

SHELL = "import seashell; print(seashell.__version__)"


@pytest.fixture
def settings(settings: CheckpointSettings) -> CheckpointSettings:
    return settings.model_copy(update={"keep_last": 1})


@pytest.fixture
def ada(atoll: Atoll, tmp_path: Path) -> Running:
    """Ada's server with a package in it."""
    server = atoll.start()
    server.run("pip", "install", str(wheel(tmp_path)))
    return server


def share(atoll: Atoll, saved: Checkpoint, principal: str, who: str = "ada") -> list[str]:
    return atoll.send(client.share(saved.id, principal), who).shared_with


def seen(atoll: Atoll, who: str, user: str | None = None) -> list[str]:
    return [one.id for one in atoll.send(client.checkpoints(shared=True, user=user), who).items]


def asked(atoll: Atoll, user: str, saved: Checkpoint) -> None:
    """As the hub: the user chose it on the spawn page."""
    assert saved.digest is not None
    atoll.send(client.start(user, "", StartRequest(environment=saved.digest)), "hub")


def test_what_is_shared_is_known_to_those_alone_and_no_more_when_it_is_taken_back(
    atoll: Atoll, ada: Running
) -> None:
    saved = atoll.save()
    assert share(atoll, saved, "user:bob") == ["user:bob"]
    assert share(atoll, saved, "user:bob") == ["user:bob"]

    assert (seen(atoll, "bob"), seen(atoll, "carl"), seen(atoll, "ada")) == ([saved.id], [], [])
    assert share(atoll, saved, "group:modelers") == ["group:modelers", "user:bob"]
    assert (seen(atoll, "bob"), seen(atoll, "carl")) == ([saved.id], [saved.id])
    assert seen(atoll, "admin", "carl") == [saved.id], "as for the spawn page"
    with pytest.raises(NotFoundError):
        seen(atoll, "bob", "carl")
    share(atoll, saved, "group:/a b/ö")  # as login systems name some
    for principal in ("user:bob", "group:modelers", "group:modelers", "group:/a b/ö"):
        atoll.send(client.take_back(saved.id, principal))
    assert (seen(atoll, "bob"), seen(atoll, "carl")) == ([], [])
    share(atoll, saved, "everyone")
    assert (seen(atoll, "bob"), seen(atoll, "carl")) == ([saved.id], [saved.id])
    assert atoll.checkpoints()[0].shared_with == ["everyone"]
    found = atoll.send(client.checkpoint(saved.id), "bob")
    assert (found.user, found.digest, found.shared_with) == ("ada", saved.digest, [])
    assert not found.current
    assert [one.name for one in atoll.send(client.changes(saved.id), "bob").packages] == [
        "seashell"
    ]
    assert b"seashell==1.0" in atoll.send(client.requirements(saved.id), "bob")


def test_others_may_start_from_it_and_do_nothing_else_with_it(atoll: Atoll, ada: Running) -> None:
    saved = atoll.save()
    share(atoll, saved, "user:bob")
    calls: list[Call[Any]] = [
        client.edit(saved.id, CheckpointEdit(note="mine", pinned=True)),
        client.restore(saved.id, stop=True),
        client.delete(saved.id),
        client.cancel(saved.id),
        client.share(saved.id, "user:carl"),
        client.take_back(saved.id, "user:bob"),
        client.changes(saved.id, against="parent"),
        client.checkpoints(user="ada"),
    ]
    for call in calls:
        with pytest.raises(NotFoundError):
            atoll.send(call, "bob")
    with pytest.raises(NotFoundError):
        share(atoll, saved, "user:carl", "carl")
    assert atoll.send(client.checkpoint(saved.id)).shared_with == ["user:bob"]


def test_whom_nobody_is_called_is_refused(atoll: Atoll, ada: Running) -> None:
    saved = atoll.save()
    for principal in ("bob", "user:", "admins", "group:", "", "*", "user:" + "x" * 256):
        with pytest.raises(AtollError):
            share(atoll, saved, principal)
    assert atoll.send(client.checkpoint(saved.id)).shared_with == []


@pytest.mark.parametrize("principal", ["user:bob", "everyone", "group:modelers"])
def test_a_start_from_anothers_environment_goes_on_as_ones_own(
    atoll: Atoll, ada: Running, tmp_path: Path, principal: str
) -> None:
    user = "carl" if principal.startswith("group:") else "bob"
    saved = atoll.save()
    with pytest.raises(ConflictError, match="not shared any more"):
        asked(atoll, user, saved)
    share(atoll, saved, principal)

    other = atoll.start(user, environment=str(saved.digest))
    assert other.run("python", "-c", SHELL).stdout.strip() == "1.0"
    other.run("pip", "install", str(wheel(tmp_path, "pearl")))
    stopped = atoll.stop(other, user)
    [own] = atoll.checkpoints(user)
    assert (own.digest, own.parent) == (stopped.environment, saved.digest)
    atoll.send(client.take_back(saved.id, principal))

    again = atoll.start(user)
    assert again.preparation.environment == own.digest
    assert again.run("python", "-c", f"import pearl; {SHELL}").stdout.strip() == "1.0"
    with pytest.raises(ConflictError):
        asked(atoll, user, saved)


def test_who_is_in_it_keeps_it_and_the_owner_is_told_who(atoll: Atoll, ada: Running) -> None:
    saved = atoll.save()
    share(atoll, saved, "user:bob")
    bobs = atoll.start("bob", environment=str(saved.digest))
    atoll.send(client.take_back(saved.id, "user:bob"))
    ada.run("python", "-m", "pip", "uninstall", "--yes", "seashell")
    newest = atoll.save()

    assert {saved.id, newest.id} <= {one.id for one in atoll.checkpoints()}, "kept beyond the last"
    with pytest.raises(ConflictError, match="Others are in this environment: bob/-"):
        atoll.send(client.delete(saved.id))
    assert atoll.stop(bobs, "bob").status == ServerStatus.SAVED
    assert atoll.start("bob").run("python", "-c", SHELL).stdout.strip() == "1.0"


def test_what_is_shared_is_kept_and_goes_when_it_is_deleted(
    atoll: Atoll, ada: Running, tmp_path: Path
) -> None:
    saved = atoll.save()
    share(atoll, saved, "everyone")
    for number in range(3):
        ada.run("pip", "install", str(wheel(tmp_path, f"pearl{number}")))
        atoll.save()
    assert saved.id in [one.id for one in atoll.checkpoints()]
    assert len(atoll.checkpoints()) == 2

    atoll.send(client.delete(saved.id))

    assert seen(atoll, "bob") == []
    with pytest.raises(ConflictError):
        asked(atoll, "bob", saved)


def test_what_looks_like_a_secret_is_not_shared(atoll: Atoll, ada: Running) -> None:
    (ada.env / ".netrc").write_text("machine x login ada password y")
    saved = atoll.save()
    with pytest.raises(ConflictError, match="netrc"):
        share(atoll, saved, "user:bob")
