"""Homes and shared directories in the pods that the cluster's spawner makes, without a cluster."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from atoll.hub import homes
from atoll.hub.kubernetes import AtollKubeSpawner
from atoll.hub.pod_states import Step, Trouble
from atoll.hub.storage import Share, StorageSection

from tests.unit.hub.spawned import User, env, manifest, no_cluster, spawner

__all__ = ["no_cluster"]  # a fixture


async def test_a_home_is_a_claim_whose_name_is_kubespawners() -> None:
    made = spawner()
    pod = await manifest(made)
    (home,) = pod["spec"]["volumes"]
    assert home["persistentVolumeClaim"] == {"claimName": made.pvc_name}
    variables = env(pod["spec"]["containers"][0])
    assert variables["HOME"] == "/home/jovyan"
    assert variables["JUPYTER_RUNTIME_DIR"] == "/tmp/atoll/jupyter", "a full home starts too"


@pytest.mark.parametrize(
    ("claim", "said"),
    [("", "The volume with your home"), ("models", "The volume of the claim models")],
)
async def test_a_claim_that_is_not_there_is_said_to_be_the_homes_where_it_is(
    claim: str, said: str
) -> None:
    made = spawner()
    await manifest(made)
    made.api = Mock(read_namespaced_pod_log=Mock(side_effect=TimeoutError))
    words = f'persistentvolumeclaim "{claim or made.pvc_name}" not found'
    assert said in str(await made.refused(Step(52, "", Trouble.VOLUME, words), 8))


async def test_servers_of_a_home_that_one_node_mounts_run_beside_each_other() -> None:
    rule = {"topologyKey": "zone"}
    pod = await manifest(spawner(pod_affinity_required=[rule]))
    affinity = pod["spec"]["affinity"]["podAffinity"]
    theirs, ours = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
    assert theirs == rule
    assert ours["topologyKey"] == "kubernetes.io/hostname"
    wanted = ours["labelSelector"]["matchLabels"].items()
    assert wanted <= pod["metadata"]["labels"].items(), "or the first could start nowhere"
    shared = spawner(storage=StorageSection(access_modes=["ReadWriteMany"]))
    assert "affinity" not in (await manifest(shared))["spec"]


async def test_homes_of_one_claim_are_remembered_by_their_directory() -> None:
    storage = StorageSection(
        kind="nfs",
        claim="homes",
        shares={
            "course": Share(groups=["ml"], writers=["teachers"]),
            "secret": Share(groups=["others"]),
            "data": Share(claim="data", mount="/data", writers=["ml"]),
        },
    )
    made = spawner(storage=storage)
    pod = await manifest(made)
    notebook, _ = pod["spec"]["containers"]
    mounts = {one["mountPath"]: one for one in notebook["volumeMounts"]}
    path = mounts["/home/jovyan"]["subPath"]
    assert path.startswith("homes/ada-example-org---")
    assert mounts["/srv/shared/course"]["subPath"] == "shared/course"
    assert mounts["/srv/shared/course"]["readOnly"] is True
    assert mounts["/data"].get("readOnly", False) is False
    assert "/srv/shared/secret" not in mounts
    assert "--NotebookNotary.db_file=/tmp/atoll/nbsignatures.db" in notebook["args"]

    later = spawner(storage=storage.model_copy(update={"sub_path": "elsewhere/{username}"}))
    later.load_state(made.get_state())
    pod = await manifest(later)
    mounts = {one["mountPath"]: one for one in pod["spec"]["containers"][0]["volumeMounts"]}
    assert mounts["/home/jovyan"]["subPath"] == path


async def test_a_claim_is_one_volume_or_the_pod_would_never_start() -> None:
    made = spawner(
        {"profile": "gpu"},
        storage=StorageSection(
            shares={
                "a": Share(claim="models", path="a", writers=["ml"]),
                "b": Share(claim="models", path="b"),
            }
        ),
    )
    spec = (await manifest(made))["spec"]
    claims = [one.get("persistentVolumeClaim", {}).get("claimName") for one in spec["volumes"]]
    assert claims.count("models") == 1
    mounts = {one["mountPath"]: one for one in spec["containers"][0]["volumeMounts"]}
    of_it = [mounts[path] for path in ("/srv/shared/a", "/srv/shared/b", "/models")]
    assert {one["name"] for one in of_it} == {"share-a"}
    assert [one.get("readOnly", False) for one in of_it] == [False, True, True]


async def test_an_export_without_a_claim_is_mounted_itself() -> None:
    storage = StorageSection(kind="nfs", nfs_server="10.0.0.5", nfs_path="/export")
    pod = await manifest(spawner(storage=storage))
    (home,) = pod["spec"]["volumes"]
    assert home["nfs"] == {"server": "10.0.0.5", "path": "/export"}


def having(*servers: AtollKubeSpawner) -> User:
    """A user with these servers, as a hub finds her that was started anew."""
    user = User()
    for number, server in enumerate(servers):
        row = SimpleNamespace(name=server.name, id=number, state=server.get_state())
        user.orm_user.orm_spawners[server.name] = row
    return user


def home_of(pod: Any) -> str:
    """The directory of the home in the volume of all homes."""
    mounts = {one["mountPath"]: one for one in pod["spec"]["containers"][0]["volumeMounts"]}
    return str(mounts["/home/jovyan"]["subPath"])


async def test_another_server_of_hers_has_the_home_that_the_first_was_given() -> None:
    storage = StorageSection(kind="existing", claim="homes")
    first = spawner(storage=storage, name="first")
    path = home_of(await manifest(first))
    moved = storage.model_copy(update={"sub_path": "elsewhere/{username}"})
    for name in ("", "second"):
        pod = await manifest(spawner(storage=moved, name=name, user=having(first)))
        assert home_of(pod) == path, "a changed template moves nobody's home"
    stranger = await manifest(spawner(storage=moved))
    assert home_of(stranger).startswith("elsewhere/")


async def test_a_server_that_had_a_home_of_its_own_keeps_it() -> None:
    storage = StorageSection(kind="existing", claim="homes")
    first, own = spawner(storage=storage), spawner(storage=storage, name="own")
    first.load_state({homes.HOME_PATH: "homes/first"})
    own.load_state({homes.HOME_PATH: "homes/own"})
    again = spawner(storage=storage, name="own", user=having(first, own))
    again.load_state(own.get_state())
    assert home_of(await manifest(again)) == "homes/own"


async def test_another_server_of_hers_has_the_claim_that_the_first_was_given() -> None:
    first = spawner(pvc_name_template="claim-{username}", name="first")
    await manifest(first)
    first._pvc_exists = True
    changed = {"pvc_name_template": "home-{username}", "remember_pvc_name": True}
    second = spawner(name="second", user=having(first), **changed)
    (home,) = (await manifest(second))["spec"]["volumes"]
    assert home["persistentVolumeClaim"] == {"claimName": first.pvc_name}
    assert second._pvc_exists, "or another one is made"
    (home,) = (await manifest(spawner(**changed)))["spec"]["volumes"]
    assert home["persistentVolumeClaim"]["claimName"].startswith("home-")


async def test_the_default_server_remembers_when_a_named_one_is_removed() -> None:
    named = spawner(name="named")
    named.load_state({homes.HOME_PATH: "homes/ada", homes.CLAIM: "claim-ada"})
    user = User()
    default = spawner(user=user)
    default.db = Mock()
    user.spawners = {"": default}
    homes.remember(user, named.get_state())
    assert default.orm_spawner.state[homes.HOME_PATH] == "homes/ada"
    assert default.orm_spawner.state[homes.CLAIM] == "claim-ada"
    default.db.commit.assert_called_once()
    named.load_state({homes.HOME_PATH: "homes/other"})
    homes.remember(user, named.get_state())
    assert default.get_state()[homes.HOME_PATH] == "homes/ada", "it has one"
