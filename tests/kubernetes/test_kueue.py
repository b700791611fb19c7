"""Jobs in a cluster whose queue is Kueue's: it decides, and its reasons are shown."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from atoll.jobs import client
from atoll.jobs.models import JobStatus

from tests.kubernetes.driver import kubectl, run
from tests.kubernetes.test_jobs import (
    LONG_S,
    SETTINGS,
    WAITS,
    Kube,
    final,
    in_cell,
    make_claim,
    service,
    submit,
)
from tests.kubernetes.where import FOR_TESTS, TAG
from tests.service.jobs.platform import Atoll, eventually, notebook
from tests.service.jobs.service_under_test import SHARED

pytestmark = [pytest.mark.kueue, pytest.mark.on_node]
CHART = Path(__file__).parents[2] / "build" / "kueue" / "chart"
"""What `tests/kubernetes/install-kueue` puts there."""
QUEUE = "batch"


def make(kind: str, name: str, spec: Mapping[str, Any], namespace: str = "") -> None:
    """An object of Kueue's."""
    thing = {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": kind,
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "spec": spec,
    }
    kubectl("apply", "-f", "-", given=json.dumps(thing).encode())


@pytest.fixture(scope="module")
def kueue() -> Iterator[str]:
    """Kueue, with a cluster queue in which one job at a time has room; that queue's name."""
    name = f"kueue-{secrets.token_hex(3)}"
    image = f"{FOR_TESTS}/kueue"
    values = {
        "controllerManager": {
            "manager": {
                "image": {"repository": image, "tag": TAG},
                "resources": {"requests": {"cpu": "50m", "memory": "100Mi"}},
            }
        }
    }
    run(
        *(
            "helm",
            "install",
            "kueue",
            str(CHART),
            "--namespace",
            name,
            "--create-namespace",
            "--wait",
        ),
        *("--timeout", "300s", "-f", "-"),
        given=json.dumps(values).encode(),
    )
    make("ResourceFlavor", name, {})
    quotas = [{"name": "cpu", "nominalQuota": "150m"}, {"name": "memory", "nominalQuota": "64Gi"}]
    group = {
        "coveredResources": ["cpu", "memory"],
        "flavors": [{"name": name, "resources": quotas}],
    }
    make("ClusterQueue", name, {"namespaceSelector": {}, "resourceGroups": [group]})
    yield name
    kubectl("delete", "clusterqueue", name, "--wait=false")
    kubectl("delete", "resourceflavor", name, "--wait=false")
    run("helm", "uninstall", "kueue", "--namespace", name, "--wait")
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def namespace(kueue: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The jobs' namespace, with its local queue."""
    name = f"jobs-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    make_claim(name, SHARED.shares["models"].jobs_claim, tmp_path_factory.mktemp("models"))
    make("LocalQueue", QUEUE, {"clusterQueue": kueue}, name)
    yield name
    kubectl("delete", "namespace", name)  # before Kueue goes: it has finalizers on pods
    kubectl("delete", "persistentvolume", name, "--wait=false")


@pytest.fixture(scope="module")
def atoll(namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Atoll]:
    """The service, whose jobs go into that queue."""
    settings = SETTINGS.model_copy(update={"kueue_queue": QUEUE})
    with service(namespace, tmp_path_factory.mktemp("jobs"), settings) as (platform, _):
        yield platform.spoken[-1]


@pytest.fixture
def kube(namespace: str) -> Kube:
    return Kube(namespace)


def test_kueue_admits_one_and_its_reason_is_shown_for_the_other(atoll: Atoll, kube: Kube) -> None:
    first = submit(atoll, notebook(WAITS))
    assert in_cell(atoll, first, 1).status == JobStatus.RUNNING, atoll.log(first)
    second = submit(atoll, notebook("print('later')"))
    told = atoll.until(second, lambda one: "quota for cpu" in str(one.message), LONG_S)
    assert (told.status, told.reason) == (JobStatus.STARTING, "gated")
    third = submit(atoll, notebook("1"))
    atoll.until(third, lambda one: one.reason == "gated", LONG_S)
    atoll.send(client.stop(third.id))
    assert final(atoll, third).status == JobStatus.STOPPED
    kube.nothing_is_left(third)

    kube.open_gate(first)
    assert final(atoll, first).status == JobStatus.SUCCEEDED
    done = final(atoll, second)
    assert done.status == JobStatus.SUCCEEDED, (done, atoll.log(done))
    kube.nothing_is_left(second)
    eventually(
        lambda: kube("get", "workloads", "-o", "name").strip(), lambda left: not left, LONG_S
    )


def test_a_job_that_kueue_takes_its_place_from_says_so(
    atoll: Atoll, kube: Kube, kueue: str
) -> None:
    job = submit(atoll, notebook("print('kept')", WAITS))
    in_cell(atoll, job, 2)
    kubectl(
        *("patch", "clusterqueue", kueue, "--type=merge", "-p"),
        json.dumps({"spec": {"stopPolicy": "HoldAndDrain"}}),
    )
    try:
        done = final(atoll, job)
        assert (done.status, done.reason) == (JobStatus.FAILED, "evicted"), done
        assert "the cluster's queue in cell 2" in str(done.message)
        held = submit(atoll, notebook("1"))
        told = atoll.until(held, lambda one: kueue in str(one.message), LONG_S)
        assert told.reason == "gated"
    finally:
        kubectl(
            *("patch", "clusterqueue", kueue, "--type=merge", "-p"),
            json.dumps({"spec": {"stopPolicy": "None"}}),
        )
    assert final(atoll, held).status == JobStatus.SUCCEEDED
    kube.nothing_is_left(held)


def test_a_queue_that_is_not_there_is_named(namespace: str, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"kueue_queue": "nowhere"})
    with service(namespace, tmp_path, settings) as (platform, _):
        atoll = platform.spoken[-1]
        job = submit(atoll, notebook("1"))
        told = atoll.until(job, lambda one: "nowhere" in str(one.message), LONG_S)
        assert told.reason == "gated"
        atoll.send(client.stop(job.id))
        assert final(atoll, job).status == JobStatus.STOPPED
