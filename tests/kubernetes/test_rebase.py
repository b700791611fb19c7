"""An environment of a pod rebased: its job's container is saved by its node's agent, and started from."""

from __future__ import annotations

from pathlib import Path

import pytest
from atoll.checkpoints import client
from atoll.checkpoints.models import Checkpoint, CheckpointStatus
from atoll.jobs import client as jobs_client

from tests.kubernetes import index
from tests.kubernetes.driver import Person, Platform, objects
from tests.kubernetes.where import ENVIRONMENTS
from tests.platform.driver import eventually, make_wheel

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]

_SAVED_S = 300.0


def saved(person: Person) -> Checkpoint:
    """The running server's only checkpoint, once it is stopped and saved."""
    person.stop()
    person.settled()
    [found] = person.checkpoints()
    return found


def rebased(person: Person, old: Checkpoint) -> Checkpoint:
    """What comes of a rebase."""
    with person.connection() as service:
        asked = service.send(client.rebase(old.id))
        return eventually(
            lambda: service.send(client.checkpoint(asked.id)),
            lambda found: found.status.final,
            _SAVED_S,
        )


def nothing_is_left_of_its_job(platform: Platform, new: Checkpoint) -> None:
    """The pod goes once what it left behind is saved."""
    eventually(
        lambda: objects("pods", platform.jobs, f"atoll.dev/job={new.job}"),
        lambda left: not left,
        60,
    )


def test_what_the_job_leaves_behind_is_a_checkpoint_that_a_server_starts_from(
    platform: Platform, tmp_path: Path
) -> None:
    rea = platform.user("rea")
    rea.start()
    rea.install(make_wheel(tmp_path, "seashell", "1.0"))  # from a path: left out, and named
    rea.run("pip", "uninstall", "--yes", "duckdb")
    old = saved(rea)
    assert old.platform_version is not None
    assert old.changes is not None
    assert {one.name for one in old.changes.packages} == {"seashell", "duckdb"}

    new = rebased(rea, old)
    assert new.status == CheckpointStatus.READY, (new.message, new.left_out)
    assert new.parent == old.digest != new.digest
    assert new.platform_version == old.platform_version
    assert "file:///tmp/seashell" in {one.path: one.reason for one in new.left_out}["seashell 1.0"]
    assert new.changes is not None
    assert [(one.name, one.after) for one in new.changes.packages] == [("duckdb", None)]
    nothing_is_left_of_its_job(platform, new)
    assert rea.server().environment == old.digest

    rea.start(environment=str(new.digest))
    pod = rea.pod["spec"]
    assert pod["containers"][0]["image"] == f"{ENVIRONMENTS}/rea@{new.digest}"
    assert pod["nodeSelector"]["kubernetes.io/arch"] in ("amd64", "arm64")
    assert "duckdb" not in rea.run("pip", "list")
    rea.stop()
    rea.settled()


def test_the_job_installs_from_the_index_that_jobs_are_told_of(
    platform: Platform, tmp_path: Path
) -> None:
    wheels = [make_wheel(tmp_path, "whelk", version) for version in ("1.0", "2.0")]
    from_index = index.offer(platform, wheels)
    roy = platform.user("roy")
    roy.start()
    roy.run("pip", "install", *from_index, "whelk==1.0")
    old = saved(roy)

    new = rebased(roy, old)
    assert (new.status, new.message) == (CheckpointStatus.READY, None), new.left_out
    assert new.job is not None
    with roy.connection() as service:
        said = service.send(jobs_client.log(new.job)).text
    assert "Looking in indexes: http://test-index." in said
    assert "whelk-1.0-py3-none-any.whl" in said
    assert new.changes is not None
    assert [(one.name, one.after) for one in new.changes.packages] == [("whelk", "1.0")]
    nothing_is_left_of_its_job(platform, new)

    roy.start(environment=str(new.digest))
    assert roy.run("whelk") == "whelk 1.0\n"
    roy.stop()
    roy.settled()


def test_where_nothing_is_left_to_install_it_is_the_base_itself(
    platform: Platform, tmp_path: Path
) -> None:
    ute = platform.user("ute")
    ute.start()
    base = ute.pod["spec"]["containers"][0]["image"]
    ute.install(make_wheel(tmp_path, "seashell", "1.0"))  # from a path: left out
    old = saved(ute)

    new = rebased(ute, old)
    assert (new.status, new.message) == (CheckpointStatus.READY, None), new.left_out
    assert new.digest == new.base == old.base
    assert (new.base_name, new.parent) == (base.rpartition(":")[0], old.digest)
    assert [one.path for one in new.left_out] == ["seashell 1.0"]
    nothing_is_left_of_its_job(platform, new)

    ute.start(environment=str(new.digest))
    assert ute.pod["spec"]["containers"][0]["image"].endswith(f"/atoll/singleuser@{new.digest}")
    assert "seashell" not in ute.run("pip", "list")
    ute.install(make_wheel(tmp_path, "conch", "1.0"))
    ute.stop()
    ute.settled()
    last = ute.checkpoints()[0]
    assert (last.base, last.parent) == (new.digest, new.digest)
    assert last.changes is not None
    assert [one.name for one in last.changes.packages] == ["conch"]
