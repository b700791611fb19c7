"""An old environment over a newer base: installed by a job, compared, tried, saved beside the old one."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from atoll.checkpoints import client
from atoll.checkpoints.models import (
    Checkpoint,
    CheckpointEdit,
    CheckpointStatus,
    StartRequest,
    Trigger,
)
from atoll.checkpoints.service import Checkpoints
from atoll.checkpoints.store import CheckpointRow
from atoll.jobs import client as jobs_client
from atoll.jobs.models import JobStatus
from atoll.jobs.service import Jobs
from atoll.kit.errors import ConflictError, NotFoundError
from atoll.kit.home import Home

from .platform import Atoll, eventually, started, wheel

VERSIONS = {"seashell": ("1.0", "2.0"), "conch": ("1.0",), "limpet": ("1.0",)}


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where packages come from by their names."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, versions in VERSIONS.items():
        for version in versions:
            wheel(folder, name, version)
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return folder


@pytest.fixture
def checkpoints(jobs: Jobs) -> Checkpoints:
    """The capability beside the jobs of the running service."""
    # the service's own: `jobs` has its environments
    found: Checkpoints = jobs.ground.environments._request.__self__  # type: ignore[attr-defined]
    return found


@pytest.fixture
def newer(checkpoints: Checkpoints) -> Iterator[Checkpoints]:
    """What is saved before `become` is of version 0.1."""
    become(checkpoints, "0.1.0")
    yield checkpoints


def become(checkpoints: Checkpoints, version: str) -> None:
    """The platform is of this version from now on."""
    ground = checkpoints.ground
    packages = {**ground.platform.packages, "atoll": version}
    ground.platform = dataclasses.replace(ground.platform, packages=packages)
    ground.base = str(ground.platform.image(ground.images))


def run(variables: dict[str, str], *argv: str) -> str:
    """A command in a server's terminal."""
    program = next(
        str(found)
        for folder in variables["PATH"].split(os.pathsep)
        if (found := Path(folder, argv[0])).exists()
    )
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    done = subprocess.run(
        [program, *argv[1:]], env={**pip, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def saved(
    atoll: Atoll, *packages: str, who: str = "ada", files: tuple[str, ...] = ()
) -> Checkpoint:
    """A server in which these packages were installed, saved at its end."""
    variables = started(atoll, who)
    if packages:
        run(variables, "pip", "install", *packages)
    for file in files:
        place = Path(variables["VIRTUAL_ENV"]) / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(file)
    atoll.send(client.ended(who, ""), "hub")
    eventually(
        lambda: atoll.send(client.server(who, ""), who), lambda found: found.status == "saved"
    )
    return atoll.send(client.checkpoints(), who).items[0]


def final(atoll: Atoll, checkpoint: Checkpoint, who: str = "ada") -> Checkpoint:
    """The checkpoint once it is final."""
    return eventually(
        lambda: atoll.send(client.checkpoint(checkpoint.id), who),
        lambda found: found.status.final,
        110,
    )


def rebased(atoll: Atoll, source: Checkpoint) -> Checkpoint:
    """What comes of a rebase."""
    return final(atoll, atoll.send(client.rebase(source.id)))


def prepared(atoll: Atoll, digest: str | None) -> dict[str, str]:
    """As the hub: a start from this environment; the variables of its processes."""
    atoll.send(client.start("ada", "", StartRequest(environment=str(digest))), "hub")
    return eventually(
        lambda: atoll.send(client.preparation("ada", ""), "hub"), lambda found: found.ready
    ).variables


def versions(variables: dict[str, str], *names: str) -> list[str]:
    """Which versions a process imports."""
    code = "import importlib, sys; print([importlib.import_module(n).__version__ for n in sys.argv[1:]])"
    found: list[str] = json.loads(run(variables, "python", "-c", code, *names).replace("'", '"'))
    return found


def test_what_was_installed_is_installed_over_the_newer_base_and_the_old_one_stays(
    atoll: Atoll, newer: Checkpoints, home: Home
) -> None:
    old = saved(atoll, "seashell==1.0", "conch==1.0", files=("share/notes.txt",))
    atoll.send(client.edit(old.id, CheckpointEdit(note="long/../" + "x" * 490)))
    become(newer, "0.9.0")  # the old one does not start any more
    assert atoll.send(client.checkpoint(old.id)).too_old is not None

    new = rebased(atoll, old)

    assert (new.status, new.trigger, new.parent) == (CheckpointStatus.READY, "rebase", old.digest)
    assert (new.platform_version, new.too_old, new.reason) == ("0.9.0", None, None)
    assert new.digest not in (None, old.digest)
    assert [(one.path, one.reason.split(":")[0]) for one in new.left_out] == [
        ("share", "1 file, 15 B of no package")
    ]
    assert versions(prepared(atoll, new.digest), "seashell", "conch") == ["1.0", "1.0"]
    kept = atoll.send(client.checkpoint(old.id))
    assert (kept.status, kept.digest) == (CheckpointStatus.READY, old.digest)
    assert new.job is not None
    job = atoll.send(jobs_client.job(new.job))
    assert (job.status, job.parameters["install"]) == (
        JobStatus.SUCCEEDED,
        ["conch==1.0", "seashell==1.0"],
    )
    eventually((home.jobs / str(new.job) / "environment").exists, lambda there: not there)


def test_what_cannot_be_installed_is_named_with_the_reason(
    atoll: Atoll, newer: Checkpoints, index: Path
) -> None:
    old = saved(atoll, "seashell==1.0", "conch==1.0", "limpet==1.0")
    become(newer, "0.2.0")
    (index / "seashell-1.0-py3-none-any.whl").unlink()  # there is 2.0
    (index / "conch-1.0-py3-none-any.whl").unlink()

    new = rebased(atoll, old)

    assert (new.status, new.reason) == (CheckpointStatus.READY, "incomplete")
    assert "2 of 3 packages" in str(new.message)
    left = {one.path: one.reason for one in new.left_out}
    assert "No matching distribution found for conch" in left["conch 1.0"]
    assert left["seashell 1.0"].startswith("2.0 is in its place")
    assert set(left) == {"conch 1.0", "seashell 1.0"}


def test_a_rebase_that_brings_nothing_over_fails_and_can_be_asked_for_again(
    atoll: Atoll, newer: Checkpoints, index: Path
) -> None:
    old = saved(atoll, "conch==1.0")
    become(newer, "0.2.0")
    (index / "conch-1.0-py3-none-any.whl").unlink()

    failed = rebased(atoll, old)
    assert (failed.status, failed.digest) == (CheckpointStatus.FAILED, None)
    assert "not one of its packages could be installed" in str(failed.message)

    wheel(index, "conch", "1.0")
    assert rebased(atoll, old).status == CheckpointStatus.READY


def test_only_its_owner_rebases_an_environment(atoll: Atoll, newer: Checkpoints) -> None:
    old = saved(atoll, "conch==1.0")
    become(newer, "0.2.0")
    with pytest.raises(NotFoundError):
        atoll.send(client.rebase(old.id), "bob")
    atoll.send(client.share(old.id, "user:bob"))
    for who in ("bob", "admin"):
        with pytest.raises(ConflictError, match="who alone may rebase it"):
            atoll.send(client.rebase(old.id), who)
    assert [one.id for one in atoll.send(client.checkpoints()).items] == [old.id]


def test_a_package_from_a_path_is_not_fetched_by_its_name(
    atoll: Atoll, newer: Checkpoints, tmp_path: Path, index: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    old = saved(atoll, str(wheel(own, "ours", "1.0")), "conch==1.0")
    become(newer, "0.2.0")
    wheel(index, "ours", "1.0")  # somebody registered the name

    new = rebased(atoll, old)

    assert new.status == CheckpointStatus.READY
    [left] = new.left_out
    assert left.path == "ours 1.0"
    assert "own/ours-1.0-py3-none-any.whl" in left.reason
    assert [one.name for one in new.changes.packages] == ["conch"] if new.changes else False


@pytest.mark.parametrize(
    "name",
    [
        "--index-url=http-1.dist-info",
        "-r-1.dist-info",
        "x @ file:-1.0.dist-info",
        "a\nb-1.0.dist-info",
        "x-1.0 --pre.dist-info",
        "x-1.0; import os.dist-info",
    ],
)
def test_what_is_no_name_of_a_package_reaches_no_installer(
    atoll: Atoll, newer: Checkpoints, name: str
) -> None:
    old = saved(atoll, "conch==1.0", files=(f"lib/python3.11/site-packages/{name}/RECORD",))
    become(newer, "0.2.0")

    new = rebased(atoll, old)

    assert new.status == CheckpointStatus.READY
    assert new.job is not None
    job = atoll.send(jobs_client.job(new.job))
    assert job.parameters["install"] == ["conch==1.0"]
    assert all(one.path.isprintable() for one in new.left_out)


def test_a_rebase_that_is_cancelled_ends_its_job_and_leaves_nothing(
    atoll: Atoll, newer: Checkpoints, home: Home
) -> None:
    old = saved(atoll, "conch==1.0")
    become(newer, "0.2.0")
    saved(atoll, "limpet==1.0")  # the server goes on from this one
    asked = atoll.send(client.rebase(old.id))
    assert atoll.send(client.rebase(old.id)).id == asked.id  # one at a time
    with pytest.raises(ConflictError, match="held by rebase:"):
        atoll.send(client.delete(old.id))
    atoll.send(client.cancel(asked.id))

    found = final(atoll, asked)

    assert (found.status, found.reason) == (CheckpointStatus.FAILED, "cancelled")
    for job in atoll.send(jobs_client.jobs()).items:
        assert job.status in (JobStatus.STOPPED, JobStatus.SUCCEEDED)
        eventually((home.jobs / job.id / "environment").exists, lambda there: not there)
    atoll.send(client.delete(old.id))


def test_over_the_newest_base_there_is_nothing_to_rebase(atoll: Atoll, newer: Checkpoints) -> None:
    old = saved(atoll, "conch==1.0")
    with pytest.raises(ConflictError, match="newest base already"):
        atoll.send(client.rebase(old.id))


def test_a_server_is_saved_as_ever_while_a_rebase_goes_on(atoll: Atoll, newer: Checkpoints) -> None:
    old = saved(atoll, "conch==1.0")
    become(newer, "0.2.0")
    asked = atoll.send(client.rebase(old.id))

    stop = saved(atoll, "limpet==1.0")

    new = final(atoll, asked)
    assert new.status == CheckpointStatus.READY
    assert (stop.trigger, stop.status) == (Trigger.STOP, CheckpointStatus.READY)
    assert atoll.send(client.server("ada", "")).environment == stop.digest
    with newer.ground.database.read() as session:
        assert session.get_one(CheckpointRow, new.id).node is None
