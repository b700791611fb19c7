"""The pods that the cluster's spawner makes, without a cluster: what the platform adds, what stays."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from atoll.checkpoints.models import Preparation, StartRequest
from atoll.hub.kubernetes import AtollKubeSpawner
from atoll.hub.pod_states import Step, Trouble
from atoll.hub.profiles import Offers, Profile
from atoll.hub.refusal import ChoiceRefused, EnvironmentUnusable, StartRefused

from tests.unit.hub.spawned import DIGEST, env, manifest, no_cluster, spawner

__all__ = ["no_cluster"]  # a fixture


async def test_a_pod_is_never_restarted_and_says_which_start_it_is() -> None:
    pod = await manifest(spawner())
    assert pod["spec"]["restartPolicy"] == "Never"
    assert pod["metadata"]["labels"]["atoll.dev/server"] == "true"
    assert pod["metadata"]["annotations"]["atoll.dev/start-id"] == "st-1"
    assert pod["metadata"]["annotations"]["hub.jupyter.org/username"] == "ada@example.org"
    assert pod["spec"]["automountServiceAccountToken"] is False


async def test_a_pod_is_held_by_a_container_that_alone_knows_the_token() -> None:
    pod = await manifest(spawner())
    notebook, hold = pod["spec"]["containers"]  # in the order in which the kubelet starts them
    assert (notebook["name"], hold["name"]) == ("notebook", "atoll-hold")
    assert env(hold) == {
        "ATOLL_HOLD_URL": "http://service:8010/services/atoll/api/v1/starts/st-1/hold",
        "ATOLL_HOLD_TOKEN": "held",
        "ATOLL_HOLD_PORT": "8889",
    }
    assert notebook["lifecycle"]["preStop"]["httpGet"] == {"path": "/hold", "port": 8889}
    assert "held" not in env(notebook).values()
    assert pod["spec"]["terminationGracePeriodSeconds"] == 600


async def test_a_pod_is_as_pod_security_restricted_asks() -> None:
    pod = await manifest(spawner())
    context = pod["spec"]["securityContext"]
    assert context == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        "fsGroup": 100,
        "fsGroupChangePolicy": "OnRootMismatch",
    }
    for container in pod["spec"]["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["spec"]["containers"][0]["securityContext"]["runAsUser"] == 1000
    assert pod["spec"]["containers"][0]["securityContext"]["runAsGroup"] == 100


async def test_each_start_has_a_pod_name_of_its_own() -> None:
    made = spawner()
    names = set()
    for _ in range(3):
        made.clear_state()
        names.add(made.pod_name)
        assert len(made.pod_name) <= 63
        assert made.dns_name.startswith(made.pod_name)
    assert len(names) == 3


async def test_an_environment_is_started_by_its_digest_with_the_secret_to_pull_it() -> None:
    image = f"localhost:5000/atoll/ada@{DIGEST}"
    made = spawner(pull_secret="atoll-pull", image_pull_secrets=["theirs"])
    pod = await manifest(made, environment=DIGEST, image=image)
    assert pod["spec"]["containers"][0]["image"] == image
    assert pod["spec"]["imagePullSecrets"] == [{"name": "theirs"}, {"name": "atoll-pull"}]
    pod = await manifest(made)  # the same object again, for a fresh start
    assert pod["spec"]["containers"][0]["image"] == "example.org/default:1"
    assert pod["spec"]["imagePullSecrets"] == [{"name": "theirs"}]


async def test_the_next_best_of_an_environment_that_is_gone_may_be_the_profiles_image() -> None:
    made = spawner(pull_secret="atoll-pull")
    await manifest(made, environment=DIGEST, image=f"localhost:5000/atoll/ada@{DIGEST}")
    made.preparation = Preparation(start_id="st-2", ready=True, version=2)
    await made.load_user_options()
    pod = await made.get_pod_manifest()
    assert pod.spec.containers[0].image == "example.org/default:1"
    assert not pod.spec.image_pull_secrets


async def test_a_profile_says_how_large_and_where() -> None:
    pod = await manifest(spawner({"profile": "gpu", "image": "torch"}))
    notebook, _ = pod["spec"]["containers"]
    assert notebook["image"] == "example.org/torch:3"
    assert notebook["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert pod["spec"]["runtimeClassName"] == "nvidia"
    assert pod["spec"]["nodeSelector"] == {"accelerator": "a100"}
    assert pod["spec"]["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert pod["spec"]["priorityClassName"] == "high"
    mounts = {one["mountPath"]: one for one in notebook["volumeMounts"]}
    assert mounts["/dev/shm"]["name"] == "shared-memory"
    assert mounts["/models"]["readOnly"] is True
    assert env(notebook)["A"] == "1"


async def test_a_profile_that_was_chosen_before_leaves_nothing_behind() -> None:
    made = spawner({"profile": "gpu"})
    await manifest(made)
    made.user_options = {"profile": "cpu", "size": "l"}
    pod = await manifest(made)
    notebook, _ = pod["spec"]["containers"]
    assert notebook["resources"]["limits"] == {"cpu": 2.0, "memory": 8 << 30}
    for name in ("runtimeClassName", "nodeSelector", "tolerations", "priorityClassName"):
        assert name not in pod["spec"]
    assert len(pod["spec"]["volumes"]) == 1


async def test_what_an_operator_says_to_kubespawner_stays() -> None:
    def hook(_spawner: Any, pod: Any) -> Any:
        pod.metadata.labels["hooked"] = "yes"
        return pod

    made = spawner(
        {"profile": "gpu"},
        extra_containers=[{"name": "beside", "image": "example.org/beside:1"}],
        init_containers=[
            {"name": "first", "image": "x", "securityContext": {"runAsUser": 0}},
        ],
        volumes=[{"name": "data", "emptyDir": {}}],
        volume_mounts=[{"name": "data", "mountPath": "/data"}],
        tolerations=[{"key": "theirs", "operator": "Exists"}],
        node_selector={"zone": "a"},
        extra_labels={"team": "x"},
        environment={"THEIRS": "1"},
        extra_pod_config={"hostname": "box", "terminationGracePeriodSeconds": 90},
        container_security_context={"seLinuxOptions": {"level": "s0:c1"}},
        lifecycle_hooks={"postStart": {"exec": {"command": ["true"]}}},
        uid=2000,
        args=["--theirs"],
        modify_pod_hook=hook,
    )
    pod = await manifest(made)
    notebook, beside, hold = pod["spec"]["containers"]
    assert (beside["name"], hold["name"]) == ("beside", "atoll-hold")
    (first,) = pod["spec"]["initContainers"]
    assert first["securityContext"] == {"runAsUser": 0}
    assert {"name": "data", "emptyDir": {}} in pod["spec"]["volumes"]
    assert "/data" in {one["mountPath"] for one in notebook["volumeMounts"]}
    assert {one["key"] for one in pod["spec"]["tolerations"]} == {"theirs", "nvidia.com/gpu"}
    assert pod["spec"]["nodeSelector"] == {"zone": "a", "accelerator": "a100"}
    assert pod["metadata"]["labels"]["team"] == "x"
    assert env(notebook)["THEIRS"] == "1"
    assert pod["spec"]["hostname"] == "box"
    assert pod["spec"]["terminationGracePeriodSeconds"] == 90
    assert notebook["securityContext"]["seLinuxOptions"] == {"level": "s0:c1"}
    assert notebook["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert notebook["securityContext"]["runAsUser"] == 2000
    assert notebook["lifecycle"]["postStart"] == {"exec": {"command": ["true"]}}
    assert notebook["lifecycle"]["preStop"]["httpGet"]["path"] == "/hold"
    assert "--theirs" in notebook["args"]
    assert made.modify_pod_hook is hook


async def test_a_pre_stop_hook_of_the_operator_stays_theirs() -> None:
    theirs = {"preStop": {"exec": {"command": ["save"]}}}
    pod = await manifest(spawner(lifecycle_hooks=theirs))
    assert pod["spec"]["containers"][0]["lifecycle"] == theirs


LISTED = [
    {"slug": "one", "display_name": "One", "kubespawner_override": {"cpu_limit": 3}},
    {
        "slug": "own",
        "display_name": "Own",
        "profile_options": {
            "image": {
                "display_name": "Image",
                "unlisted_choice": {
                    "enabled": True,
                    "validation_regex": ".*",
                    "kubespawner_override": {"image": "{value}"},
                },
                "choices": {"a": {"display_name": "A", "kubespawner_override": {"image": "a:1"}}},
            }
        },
    },
]


async def test_a_profile_list_is_offered_as_kubespawner_does() -> None:
    made = spawner({"profile": "one"}, profile_list=LISTED)
    pod = await manifest(made)
    assert pod["spec"]["containers"][0]["resources"]["limits"]["cpu"] == 3
    assert "/home/jovyan" in {
        one["mountPath"] for one in pod["spec"]["containers"][0]["volumeMounts"]
    }
    assert "profile-option-own--image" in await made.own_form()
    data = {"profile": ["own"], "profile-option-own--image": ["a"]}
    assert made.own_options(data) == {"profile": "own", "image": "a"}


async def test_a_profile_list_cannot_name_where_environments_are_kept() -> None:
    typed = {"profile": "own", "image--unlisted-choice": f"localhost:5000/atoll/bo@{DIGEST}"}
    with pytest.raises(StartRefused, match="cannot be named"):
        await manifest(spawner(typed, profile_list=LISTED))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"environment": "localhost:5000/atoll/bo:1"}, "is no environment"),
        ({"environment": {"a": 1}}, "is no environment"),
        ({"profile": "huge"}, "There is no profile"),
        ({"profile": ["cpu"]}, "There is no profile"),
        ({"profile": "cpu", "size": "xxl"}, "no size"),
        ({"profile": "cpu", "image": "evil:1"}, "no choice of its image"),
        ({"profile": "cpu", "own_image": "evil:1"}, "allows no images of your own"),
    ],
)
async def test_hostile_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ChoiceRefused, match=said):
        spawner(options)._request()


async def test_a_profile_lists_server_starts_from_no_nonsense_either() -> None:
    with pytest.raises(ChoiceRefused, match="is no environment"):
        spawner({"profile": "one", "environment": "x:1"}, profile_list=LISTED)._request()


async def test_a_request_is_contained_and_what_was_taken_is_remembered() -> None:
    made = spawner()
    assert made._request() == StartRequest(profile="cpu", contained=True)
    assert made.user_options == {"profile": "cpu"}


@pytest.mark.parametrize(
    ("said", "every_s"),
    [({}, None), ({"save_every_s": 600}, 600), ({"save_every_s": 600, "saved": False}, 0)],
)
async def test_a_request_says_how_often_the_profile_has_its_servers_saved(
    said: dict[str, Any], every_s: int | None
) -> None:
    profile = Profile.model_validate({"title": "CPU", "image": "example.org/cpu:1", **said})
    made = spawner(profiles=Offers({"cpu": profile}))
    assert made._request().save_every_s == every_s


async def test_a_restarted_hub_knows_the_pod_by_its_uid() -> None:
    made = spawner()
    made.clear_state()
    made._uid = "u-1"
    later = spawner()
    later.load_state(made.get_state())
    assert (later._uid, later.pod_name) == ("u-1", made.pod_name)


async def _refused(made: AtollKubeSpawner, detail: str) -> StartRefused:
    made.api = Mock(read_namespaced_pod_log=Mock(side_effect=TimeoutError))
    step = Step(60, "the image x cannot be pulled", Trouble.IMAGE, detail)
    return await made.refused(step, 0)


async def test_an_environment_that_is_gone_gives_way_to_the_next_best() -> None:
    made = spawner()
    await manifest(made, environment=DIGEST, image=f"localhost:5000/atoll/ada@{DIGEST}")
    refusal = await _refused(made, "localhost:5000/atoll/ada: not found")
    assert isinstance(refusal, EnvironmentUnusable)
    assert refusal.digest == DIGEST


async def test_a_registry_that_refuses_us_does_not_set_an_environment_aside() -> None:
    made = spawner()
    await manifest(made, environment=DIGEST, image=f"localhost:5000/atoll/ada@{DIGEST}")
    refusal = await _refused(made, "pull access denied: authorization failed")
    assert not isinstance(refusal, EnvironmentUnusable)
    assert "Your saved environments are safe." in str(refusal)


async def test_an_image_of_a_profile_that_is_gone_is_refused() -> None:
    made = spawner()
    await manifest(made)
    refusal = await _refused(made, "not found")
    assert not isinstance(refusal, EnvironmentUnusable)
    assert "Choose another image or profile." in str(refusal)
