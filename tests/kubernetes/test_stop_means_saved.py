"""What a user changed is there again after a stop, whoever ended the pod and however."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from atoll.checkpoints import client
from atoll.checkpoints.models import CheckpointStatus, OrphanKind, ServerStatus, Trigger
from atoll.kit.console import Exit
from atoll.kit.errors import ForbiddenError

from tests.kubernetes.away import without_agents
from tests.kubernetes.driver import Person, Platform, kubectl, objects, refused
from tests.kubernetes.where import ENVIRONMENTS, SINGLEUSER
from tests.platform.driver import eventually, make_wheel

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]

UNSAVED = "atoll.dev/unsaved"


def ended(person: Person) -> dict[str, Any]:
    """The user's one pod, once it has ended."""
    found = eventually(
        person.pods, lambda pods: len(pods) == 1 and pods[0]["status"]["phase"] == "Failed", 60
    )
    return found[0]


def test_stop_saves_and_the_next_start_begins_from_the_image_by_digest(
    platform: Platform, tmp_path: Path
) -> None:
    ada = platform.user("ada")
    ada.start()
    fresh = ada.pod
    assert fresh["spec"]["containers"][0]["image"] == SINGLEUSER
    ada.install(make_wheel(tmp_path, "seashell", "1.0"))
    ada.sh("mkdir -p /opt/environment/tools && echo kept > /opt/environment/tools/mine")
    assert ada.run("seashell") == "seashell 1.0\n"

    with without_agents(platform):
        began = time.monotonic()
        ada.stop()
        assert time.monotonic() - began < 10
        pod = ended(ada)
        assert pod["metadata"]["uid"] == fresh["metadata"]["uid"]
        assert pod["metadata"]["labels"][UNSAVED] == "true"
        assert ada.server().status in (ServerStatus.UNSAVED, ServerStatus.SAVING)
    saved = ada.settled()
    assert saved.environment is not None

    ada.start()
    image = ada.pod["spec"]["containers"][0]["image"]
    assert image == f"{ENVIRONMENTS}/ada@{saved.environment}"
    assert ada.run("seashell") == "seashell 1.0\n"
    assert ada.run("cat", "/opt/environment/tools/mine") == "kept\n"
    checkpoint = ada.checkpoints()[0]
    assert (checkpoint.status, checkpoint.trigger) == (CheckpointStatus.READY, Trigger.STOP)
    assert checkpoint.changes is not None
    assert [one.name for one in checkpoint.changes.packages] == ["seashell"]
    ada.stop()
    ada.settled()

    ada.start(environment="base")
    assert "seashell" not in ada.run("pip", "list")
    ada.stop()
    ada.settled()


def test_an_unsaved_pod_is_neither_deleted_nor_evicted(platform: Platform, tmp_path: Path) -> None:
    bea = platform.user("bea")
    bea.start()
    bea.install(make_wheel(tmp_path, "conch", "2.0"))
    with without_agents(platform):
        bea.stop()
        name = ended(bea)["metadata"]["name"]
        said = refused("delete", "pod", name, "-n", platform.servers)
        assert "is not saved yet" in said
        assert "atoll servers discard" in said
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": platform.servers},
        }
        path = f"/api/v1/namespaces/{platform.servers}/pods/{name}/eviction"
        said = refused("create", "--raw", path, "-f", "-", given=json.dumps(eviction).encode())
        assert "(TooManyRequests)" in said  # 429, which drains and autoscalers take for "later"
        assert "is not saved yet" in said
        assert [pod["metadata"]["name"] for pod in bea.pods()] == [name]
    bea.settled()
    bea.start()
    assert bea.run("conch") == "conch 2.0\n"
    bea.stop()
    bea.settled()


def test_a_start_waits_for_the_last_stop_and_says_so(platform: Platform, tmp_path: Path) -> None:
    cam = platform.user("cam")
    cam.start()
    cam.install(make_wheel(tmp_path, "whelk", "1.1"))
    with without_agents(platform):
        cam.stop()
        ended(cam)
        answer = cam.api("POST", "users/cam/server")
        assert answer.status_code in (201, 202), answer.text
        told = eventually(lambda: progress(cam), lambda said: any("sav" in one for one in said), 30)
        assert not any("starting" in one for one in told)
    cam.wait_ready()
    assert cam.run("whelk") == "whelk 1.1\n"
    cam.stop()
    cam.settled()


def progress(person: Person) -> list[str]:
    """What the progress page has been told so far."""
    said = []
    with person.http.stream(
        "GET", f"hub/api/users/{person.name}/server/progress", timeout=5
    ) as answer:
        for line in answer.iter_lines():
            if line.startswith("data:"):
                said.append(str(json.loads(line.removeprefix("data:")).get("message", "")))
                if "sav" in said[-1]:
                    break
    return said


def test_a_server_killed_for_memory_is_saved_and_its_user_told(
    platform: Platform, tmp_path: Path
) -> None:
    dan = platform.user("dan")
    dan.start(profile="small")
    dan.install(make_wheel(tmp_path, "limpet", "0.3"))
    # several processes, each smaller than the server: the kernel ends the largest, which that is
    hog = "import time; x = b'x' * (60 << 20); time.sleep(600)"
    dan.sh(f'for i in 1 2 3 4 5 6 7; do python -c "{hog}" & done; wait', check=False)
    saved = dan.settled()
    assert saved.ended_why is not None
    assert "memory" in saved.ended_why
    eventually(dan.servers, lambda found: not found, 90)
    dan.start()
    assert dan.run("limpet") == "limpet 0.3\n"
    dan.stop()
    dan.settled()


def test_kubectl_delete_is_held_until_the_server_is_saved(
    platform: Platform, tmp_path: Path
) -> None:
    eve = platform.user("eve")
    eve.start()
    eve.install(make_wheel(tmp_path, "cockle", "4.0"))
    pod = eve.pod["metadata"]
    with without_agents(platform):
        kubectl("delete", "pod", pod["name"], "-n", platform.servers, "--wait=false")
        eventually(eve.server, lambda one: one.status == ServerStatus.SAVING, 60)
        assert eve.run("cockle") == "cockle 4.0\n"  # its container is there, and runs
        assert eve.pod["metadata"]["deletionTimestamp"]
    eventually(eve.pods, lambda pods: not pods, 120)
    saved = eve.server()
    assert saved.status == ServerStatus.SAVED  # when the pod is gone, it is saved already
    (checkpoint,) = eve.checkpoints()
    assert checkpoint.status == CheckpointStatus.READY
    assert saved.environment == checkpoint.digest
    eventually(eve.servers, lambda found: not found, 90)
    eve.start()
    assert eve.run("cockle") == "cockle 4.0\n"
    eve.stop()
    eve.settled()


def test_two_quick_stops_and_starts(platform: Platform, tmp_path: Path) -> None:
    flo = platform.user("flo")
    flo.start()
    flo.install(make_wheel(tmp_path, "mussel", "1.0"))
    flo.stop()
    flo.start()
    assert flo.run("mussel") == "mussel 1.0\n"
    flo.install(make_wheel(tmp_path, "oyster", "1.0"))
    flo.stop()
    flo.start()
    assert flo.run("mussel") == "mussel 1.0\n"
    assert flo.run("oyster") == "oyster 1.0\n"
    flo.stop()
    flo.settled()


@pytest.mark.parametrize("part", ["hub", "service"])
def test_a_part_that_is_lost_while_a_server_stops_loses_nothing(
    platform: Platform, tmp_path: Path, part: str
) -> None:
    gus = platform.user(f"gus-{part}")
    gus.start()
    gus.install(make_wheel(tmp_path, "scallop", "2.2"))
    gus.api("DELETE", f"users/{gus.name}/server")
    platform.kill(part)
    platform.ready()
    gus = platform.user(f"gus-{part}")
    gus.settled()
    eventually(gus.servers, lambda found: not found, 90)
    gus.start()
    assert gus.run("scallop") == "scallop 2.2\n"
    gus.stop()
    gus.settled()


@pytest.mark.parametrize("part", ["agent", "service"])
def test_a_part_killed_in_the_middle_of_a_save_is_followed_by_another(
    platform: Platform, tmp_path: Path, part: str
) -> None:
    hal = platform.user(f"hal-{part}")
    hal.start()
    hal.install(make_wheel(tmp_path, "periwinkle", "5.0"))
    hal.sh("head -c 400000000 /dev/urandom > /opt/environment/big")
    hal.stop()
    eventually(
        hal.checkpoints,
        lambda found: bool(found) and found[0].status == CheckpointStatus.COPYING,
        60,
    )
    platform.kill(part, platform.agents if part == "agent" else None)
    platform.ready()
    hal = platform.user(f"hal-{part}")
    hal.settled(180)
    hal.start()
    assert hal.run("periwinkle") == "periwinkle 5.0\n"
    assert hal.sh("stat -c %s /opt/environment/big") == "400000000\n"
    hal.sh("rm /opt/environment/big")
    hal.stop()
    hal.settled()


def test_an_agent_is_who_kubernetes_says_that_it_is(platform: Platform) -> None:
    """Its token is good for its pod's node alone, as long as there is the pod, and made for this service."""
    [agent] = objects("pods", platform.agents, "app.kubernetes.io/component=agent")
    node, account = agent["spec"]["nodeName"], agent["spec"]["serviceAccountName"]
    ours = ("--audience", "atoll-agent")
    bound = ("--bound-object-kind", "Pod", "--bound-object-name", agent["metadata"]["name"])

    def token(*options: str, account: str = account, namespace: str = platform.agents) -> str:
        return kubectl("create", "token", account, "-n", namespace, *options).strip()

    def answer(token: str, node: str = node) -> int:
        path = f"services/atoll/api/v1/nodes/{node}/work?wait=0"
        return platform.answer(path, Authorization=f"Bearer {token}")

    good = token(*ours, *bound)
    assert answer(good) in (200, 204)
    assert answer(good, "another") == 404
    nobody = {401, 403}
    assert answer(token(*ours)) in nobody, "of no pod"
    assert answer(token(*bound)) in nobody, "for the API server"
    assert answer(token("--audience", "another", *bound)) in nobody
    assert answer(token(*ours, account="default", namespace=platform.servers)) in nobody
    platform.kill("agent", platform.agents)
    eventually(lambda: answer(good), lambda code: code in nobody, 60)
    platform.ready()


def test_the_servers_of_a_cordoned_node_are_stopped_and_saved(
    platform: Platform, tmp_path: Path
) -> None:
    ida = platform.user("ida")
    ida.start()
    ida.install(make_wheel(tmp_path, "nautilus", "0.9"))
    node = ida.pod["spec"]["nodeName"]
    kubectl("cordon", node)
    try:
        saved = ida.settled()
        assert saved.ended_why is not None
        assert node in saved.ended_why
    finally:
        kubectl("uncordon", node)
    ida.start()
    assert ida.run("nautilus") == "nautilus 0.9\n"
    ida.stop()
    ida.settled()


def test_what_belongs_to_nobody_is_listed_for_administrators_and_left_alone(
    platform: Platform,
) -> None:
    """As after a database was lost: a pod of a start that is not written down, a home of nobody."""
    ghost = {
        "hub.jupyter.org/username": "ghost",
        "atoll.dev/start-id": "00000000000000000000000000",
    }
    notebook = {
        "name": "notebook",
        "image": "example/none",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "lost",
            "labels": {"atoll.dev/server": "true"},
            "annotations": {**ghost, "hub.jupyter.org/servername": ""},
        },
        "spec": {"schedulingGates": [{"name": "atoll.dev/test"}], "containers": [notebook]},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "claim-of-nobody",
            "labels": {"component": "singleuser-storage"},
            "annotations": ghost,
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }
    there = ("-n", platform.servers)
    for one in (pod, claim):
        kubectl("create", *there, "-f", "-", given=json.dumps(one).encode())
    try:
        admin = platform.user("admin", admin=True)
        with admin.connection() as service:
            found = eventually(
                lambda: service.send(client.orphans()).items, lambda found: len(found) == 2, 30.0
            )
        assert {(one.kind, one.namespace, one.name, one.user) for one in found} == {
            (OrphanKind.POD, platform.servers, "lost", "ghost"),
            (OrphanKind.VOLUME, platform.servers, "claim-of-nobody", "ghost"),
        }
        listed = command(admin, "servers", "orphans")
        assert listed.returncode == 0, listed.stderr
        for word in ("lost", "claim-of-nobody", "ghost", "may be unsaved", "no such user"):
            assert word in " ".join(listed.stdout.split()), listed.stdout
        refusal = command(platform.user("ada"), "servers", "orphans")
        assert (refusal.returncode, refusal.stdout) == (Exit.DENIED, "")
        assert "administrator" in refusal.stderr
        with (
            platform.user("ada").connection() as service,
            pytest.raises(ForbiddenError),
        ):
            service.send(client.orphans())
        for name in ("pod/lost", "pvc/claim-of-nobody"):
            assert "deletionTimestamp" not in kubectl("get", name, *there, "-o", "json")
    finally:
        kubectl("delete", *there, "pod/lost", "pvc/claim-of-nobody", "--wait=false")


def command(person: Person, *words: str) -> subprocess.CompletedProcess[str]:
    """`atoll`, in a shell of somebody's anywhere."""
    ours = {
        "ATOLL_URL": f"{person.platform.url}services/atoll/",
        "ATOLL_TOKEN": person.token(),
        "COLUMNS": "200",
    }
    program = [sys.executable, "-m", "atoll.apps.cli", *words]
    environ = {**os.environ, **ours}
    return subprocess.run(program, env=environ, capture_output=True, text=True, check=False)


def test_what_cannot_start_says_why(platform: Platform) -> None:
    jan = platform.user("jan")
    page = jan.http.get("hub/spawn").text
    assert "no node has a GPU now" in page, "the hub may see nodes, since a profile has GPUs"
    for profile, word in (
        ("missing", "image"),
        ("nowhere", "Insufficient"),
        ("ml", "offered to members"),
    ):
        answer = jan.api("POST", "users/jan/server", json={"user_options": {"profile": profile}})
        if answer.status_code < 400:
            eventually(jan.servers, lambda found: not found, 120)
            page = jan.http.get("hub/spawn-pending/jan", follow_redirects=True).text
        else:
            page = answer.text
        assert word in page, (profile, page[-3000:])
    jan.start(profile="standard")  # else the hub takes what was chosen last
    jan.stop()
    jan.settled()
