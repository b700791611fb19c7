"""A job's pod by the environment that it runs in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest
from atoll.jobs.manifests import Place
from atoll.jobs.runners.kubernetes import KubernetesRunner
from atoll.jobs.settings import JobSettings
from atoll.kit.errors import InvalidError
from atoll.kit.home import Home

from tests.unit.jobs.test_manifests import IMAGE, PLACE, WORK


def made(home: Path, architecture: str | None, **selector: str) -> list[Any]:
    """What a runner makes in the cluster for a job in a saved environment."""
    place: Place = replace(PLACE, settings=JobSettings(node_selector=selector))
    api, database = Mock(), MagicMock()
    database.read().__enter__().get.return_value = None  # nobody has claimed it
    runner = KubernetesRunner(
        database, Home(home), place,
        api=api, informer=Mock(), images=lambda _: (IMAGE, architecture),
    )  # fmt: skip
    runner._make(WORK)
    return [call.args[1] for call in api.create.call_args_list]


def test_it_goes_to_nodes_that_the_environment_was_made_for(tmp_path: Path) -> None:
    assert made(tmp_path, "arm64")[1]["spec"]["nodeSelector"] == {"kubernetes.io/arch": "arm64"}
    assert "nodeSelector" not in made(tmp_path, None)[1]["spec"], "nothing is known of it"


def test_where_jobs_run_elsewhere_that_is_said_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="saved on arm64, and jobs run on amd64"):
        made(tmp_path, "arm64", **{"kubernetes.io/arch": "amd64"})
    found = made(tmp_path, "amd64", **{"kubernetes.io/arch": "amd64"})
    assert found[1]["spec"]["nodeSelector"] == {"kubernetes.io/arch": "amd64"}
