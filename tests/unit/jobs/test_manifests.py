"""What a job is in Kubernetes, without a cluster."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from atoll.jobs import manifests
from atoll.jobs.manifests import Place
from atoll.jobs.resources import Size
from atoll.jobs.runners import Work
from atoll.jobs.settings import JobSettings, Toleration
from atoll.kit.kube.volumes import Directory
from kubespawner.slugs import safe_slug

TOKEN = "job-" + "5" * 56
WORK = Work(
    id="j-0192f0c1a2b3c4d5e6f7a8",
    user="ada@example.org",
    name="report é.ipynb",
    folder="work",
    notebook=bytes,
    kernel="python3",
    language="python",
    parameters={},
    environment="sha256:" + "1" * 64,
    timeout_s=600,
    variables={"ATOLL_URL": "http://outside/", "ATOLL_TOKEN": TOKEN, "OTHER": "x"},
)
PLACE = Place("atoll-jobs", "p1", "http://atoll-service.atoll:8010/services/atoll/")
SIZE = Size(0.5, "4G")
IMAGE = "registry:5000/atoll/ada@sha256:" + "1" * 64


def pod(size: Size = SIZE, place: Place = PLACE, **settings: Any) -> dict[str, Any]:
    chosen = replace(place, settings=JobSettings(**settings))
    return manifests.pod(WORK, size, IMAGE, chosen)


def sharing(*shares: Directory, **settings: Any) -> tuple[Any, Any]:
    """The volumes and the mounts of a pod whose user shares these."""
    chosen = replace(PLACE, settings=JobSettings(**settings))
    spec = manifests.pod(WORK, SIZE, IMAGE, chosen, shares=shares)["spec"]
    return spec["volumes"], spec["containers"][0]["volumeMounts"]


def container(**settings: Any) -> dict[str, Any]:
    [found] = pod(**settings)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_a_pod_is_named_after_its_job_and_found_by_labels() -> None:
    found = pod()["metadata"]
    assert (found["name"], found["namespace"]) == (WORK.id, "atoll-jobs")
    assert found["labels"]["atoll.dev/job"] == WORK.id
    assert found["labels"]["atoll.dev/platform"] == "p1"
    assert found["annotations"]["atoll.dev/user"] == "ada@example.org"
    assert found["annotations"]["atoll.dev/memory"] == "4G"


def test_a_pod_is_as_restricted_as_the_standard_asks() -> None:
    spec = pod()["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["restartPolicy"] == "Never"
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["volumes"] == [{"name": "home", "emptyDir": {}}]


def test_the_token_is_in_the_secret_and_nowhere_in_the_pod() -> None:
    assert TOKEN not in json.dumps(pod())
    assert manifests.secret(WORK, PLACE)["stringData"] == {"ATOLL_TOKEN": TOKEN}
    [token] = [one for one in container()["env"] if one["name"] == "ATOLL_TOKEN"]
    assert token["valueFrom"] == {"secretKeyRef": {"name": WORK.id, "key": "ATOLL_TOKEN"}}


def test_the_service_is_where_pods_reach_it() -> None:
    env = {one["name"]: one.get("value") for one in container()["env"]}
    assert env["ATOLL_URL"] == PLACE.service_url
    assert env["ATOLL_JOB"] == WORK.id
    assert env["OTHER"] == "x"


def test_operators_say_where_packages_come_from_and_nothing_that_is_the_platforms() -> None:
    index = {"PIP_INDEX_URL": "https://index.example/simple", "OTHER": "y"}
    env = [(one["name"], one.get("value")) for one in container(variables=index)["env"]]
    assert dict(env)["PIP_INDEX_URL"] == "https://index.example/simple"
    assert dict(env)["OTHER"] == "x"
    assert len(dict(env)) == len(env)
    for name in ("ATOLL_URL", "ATOLL_TOKEN", "ATOLL_POD", "A=B", "a-b", ""):
        with pytest.raises(ValueError, match="variables"):
            JobSettings(variables={name: "http://evil.example/"})


def test_the_process_is_isolated_from_what_the_user_installed() -> None:
    assert container()["command"] == [
        "/opt/atoll/bin/python", "-P", "-s", "-m", "atoll.jobs.remote",
    ]  # fmt: skip


def test_a_job_gets_what_it_asked_for_and_no_more() -> None:
    limits = {"cpu": "500m", "memory": "4Gi"}
    assert container()["resources"] == {"limits": limits, "requests": limits}
    with_disk = container(disk="20G")["resources"]["limits"]
    assert with_disk["ephemeral-storage"] == "20Gi"


def test_gpus_are_asked_for_by_the_name_that_the_nodes_give_them() -> None:
    found = pod(Size(2, "8G", 2), gpu_resource="amd.com/gpu", gpu_runtime_class="rocm")["spec"]
    assert found["containers"][0]["resources"]["limits"]["amd.com/gpu"] == "2"
    assert found["runtimeClassName"] == "rocm"
    tolerated = {"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    assert found["tolerations"] == [tolerated]
    assert "runtimeClassName" not in pod(gpu_runtime_class="rocm")["spec"]


def test_the_cluster_ends_what_outlives_its_time_limit_by_far() -> None:
    spec = pod(grace_s=10, start_within_s=120, deliver_within_s=600)["spec"]
    assert spec["activeDeadlineSeconds"] == 600 + 3600 + 120 + 600
    assert spec["terminationGracePeriodSeconds"] > 10


def test_a_job_in_a_saved_environment_goes_to_nodes_of_its_architecture() -> None:
    chosen = replace(PLACE, settings=JobSettings(node_selector={"pool": "jobs"}))
    found = manifests.pod(WORK, SIZE, IMAGE, chosen, architecture="arm64")["spec"]
    assert found["nodeSelector"] == {"pool": "jobs", "kubernetes.io/arch": "arm64"}
    assert "nodeSelector" not in pod()["spec"]


def test_operators_say_where_jobs_run_and_with_which_login_images_are_pulled() -> None:
    taint = Toleration(key="jobs", operator="Exists", effect="NoSchedule")
    spec = pod(
        place=replace(PLACE, pull_secret="atoll-pull"),
        node_selector={"pool": "jobs"},
        tolerations=[taint],
        kueue_queue="",
    )["spec"]
    assert spec["nodeSelector"] == {"pool": "jobs"}
    assert spec["tolerations"] == [{"key": "jobs", "operator": "Exists", "effect": "NoSchedule"}]
    assert spec["imagePullSecrets"] == [{"name": "atoll-pull"}]
    queued = pod(kueue_queue="batch")["metadata"]["labels"]
    assert queued["kueue.x-k8s.io/queue-name"] == "batch"


def test_a_home_without_a_claim_is_an_empty_one_and_never_part_of_the_environment() -> None:
    assert pod()["spec"]["volumes"] == [{"name": "home", "emptyDir": {}}]
    found = container(home_sub_path="homes/{username}", home_mount="/home/x")
    assert found["volumeMounts"] == [{"name": "home", "mountPath": "/home/x"}]


def test_a_home_is_mounted_where_operators_name_its_claim() -> None:
    spec = pod(home_claim="claim-{username}")["spec"]
    slug = safe_slug("ada@example.org")
    claim = {"claimName": f"claim-{slug}"}
    assert spec["volumes"] == [{"name": "home", "persistentVolumeClaim": claim}]
    assert spec["containers"][0]["volumeMounts"] == [{"name": "home", "mountPath": "/home/jovyan"}]
    shared = container(home_claim="homes", home_sub_path="homes/{username}", home_mount="/home/x")
    assert shared["volumeMounts"] == [
        {"name": "home", "mountPath": "/home/x", "subPath": f"homes/{slug}"}
    ]


def test_what_the_user_shares_is_mounted_as_in_her_servers() -> None:
    volumes, mounts = sharing(
        Directory("share-course", "homes", "/srv/shared/course", "shared/course", read_only=True),
        Directory("share-data", "data", "/data"),
    )
    assert volumes == [
        {"name": "home", "emptyDir": {}},
        {"name": "share-course", "persistentVolumeClaim": {"claimName": "homes"}},
        {"name": "share-data", "persistentVolumeClaim": {"claimName": "data"}},
    ]
    assert mounts == [
        {"name": "home", "mountPath": "/home/jovyan"},
        {
            "name": "share-course",
            "mountPath": "/srv/shared/course",
            "subPath": "shared/course",
            "readOnly": True,
        },
        {"name": "share-data", "mountPath": "/data"},
    ]


def test_a_claim_is_one_volume_whatever_is_mounted_of_it() -> None:
    volumes, mounts = sharing(
        Directory("share-a", "homes", "/a", "shared/a", read_only=True),
        Directory("share-b", "team", "/b", "b", read_only=True),
        Directory("share-c", "team", "/c", "c"),
        home_claim="homes",
        home_sub_path="homes/{username}",
    )
    assert [one["name"] for one in volumes] == ["home", "share-b"]
    assert [one["name"] for one in mounts] == ["home", "home", "share-b", "share-b"]
    assert [one.get("readOnly", False) for one in mounts] == [False, True, True, False]


@pytest.mark.parametrize(
    "name",
    ["ada", "a", "a-b", "a--b", "-a", "a-", "1ada", "Ada", "ada.b", "é", "", "x" * 63, "x" * 64,
     "ada@example.org", "--", "A" * 80, "9" * 40, "a b-" * 12],
)  # fmt: skip
def test_users_are_called_as_kubespawner_calls_them(name: str) -> None:
    assert manifests.slug(name) == safe_slug(name)


def test_platforms_that_share_a_namespace_have_names_of_their_own() -> None:
    assert manifests.platform_of("a") != manifests.platform_of("b")
    assert manifests.platform_of("a") == manifests.platform_of("a")
    assert PLACE.labels == "atoll.dev/platform=p1"
