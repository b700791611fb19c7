"""An environment of a pod rebased: its job's container is saved by its node's agent, and started from."""

from __future__ import annotations

from pathlib import Path

import pytest
from atoll.checkpoints import client
from atoll.checkpoints.models import CheckpointStatus

from tests.kubernetes.driver import Platform, objects
from tests.platform.driver import eventually, make_wheel

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]

_SAVED_S = 300.0


def test_what_the_job_leaves_behind_is_a_checkpoint_that_a_server_starts_from(
    platform: Platform, tmp_path: Path
) -> None:
    rea = platform.user("rea")
    rea.start()
    rea.install(make_wheel(tmp_path, "seashell", "1.0"))  # from a path: left out, and named
    rea.run("pip", "uninstall", "--yes", "duckdb")
    rea.stop()
    rea.settled()
    [old] = rea.checkpoints()
    assert old.platform_version is not None
    assert old.changes is not None
    assert {one.name for one in old.changes.packages} == {"seashell", "duckdb"}

    with rea.connection() as service:
        asked = service.send(client.rebase(old.id))
        new = eventually(
            lambda: service.send(client.checkpoint(asked.id)),
            lambda found: found.status.final,
            _SAVED_S,
        )
    assert new.status == CheckpointStatus.READY, (new.message, new.left_out)
    assert new.parent == old.digest != new.digest
    assert new.platform_version == old.platform_version
    assert "file:///tmp/seashell" in {one.path: one.reason for one in new.left_out}["seashell 1.0"]
    assert new.changes is not None
    assert [(one.name, one.after) for one in new.changes.packages] == [("duckdb", None)]
    eventually(
        lambda: objects("pods", platform.jobs, f"atoll.dev/job={new.job}"),
        lambda left: not left,
        60,
    )
    assert rea.server().environment == old.digest

    rea.start(environment=str(new.digest))
    pod = rea.pod["spec"]
    assert pod["containers"][0]["image"] == f"localhost:5000/environments/rea@{new.digest}"
    assert pod["nodeSelector"]["kubernetes.io/arch"] in ("amd64", "arm64")
    assert "duckdb" not in rea.run("pip", "list")
    rea.stop()
    rea.settled()
