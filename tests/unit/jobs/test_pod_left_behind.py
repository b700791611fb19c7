"""Where a job's pod left its environment, once it has ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from atoll.jobs.manifests import Place
from atoll.jobs.runners import ContainerOfJob
from atoll.jobs.runners.kubernetes import KubernetesRunner
from atoll.kit.errors import UnavailableError
from atoll.kit.home import Home
from atoll.kit.kube.api import KubeNotFoundError

ID = "j-0192f0c1a2b3c4d5e6f7a8"
IMAGE = "registry.example/atoll/singleuser@sha256:" + "a" * 64


def runner(home: Path, found: Any) -> KubernetesRunner:
    """A runner of a cluster that has this pod."""
    api = Mock()
    api.get = Mock(side_effect=found if isinstance(found, Exception) else [found])
    place = Place(namespace="jobs", platform="p", service_url="http://service/")
    return KubernetesRunner(
        Mock(), Home(home), place, api=api, informer=Mock(), images=lambda _: None
    )


def pod(**state: Any) -> dict[str, Any]:
    """A job's pod whose container is in this state."""
    status = {"name": "job", "imageID": IMAGE, "state": state}
    return {
        "metadata": {"name": ID, "namespace": "jobs", "uid": "1"},
        "spec": {"nodeName": "node-1"},
        "status": {"phase": "Running", "containerStatuses": [status]},
    }


def test_it_is_in_the_container_that_has_ended(tmp_path: Path) -> None:
    ended = pod(terminated={"exitCode": 0, "reason": "Completed"})
    found = runner(tmp_path, ended).environment(ID)
    assert found == ContainerOfJob("node-1", f"jobs/{ID}/job", IMAGE)


def test_a_pod_that_is_about_to_end_is_waited_for(tmp_path: Path) -> None:
    running = pod(running={"startedAt": "2026-11-24T17:00:00Z"})
    with pytest.raises(UnavailableError, match="not ended yet"):
        runner(tmp_path, running).environment(ID)


def test_a_pod_that_is_gone_has_left_nothing(tmp_path: Path) -> None:
    assert runner(tmp_path, KubeNotFoundError("gone")).environment(ID) is None
