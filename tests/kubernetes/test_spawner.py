"""Servers as pods of a real cluster: started, waited for, ended, refused; the hub and the service on the host."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from atoll.checkpoints.models import ServerStatus

from tests.kubernetes.cut import Cut
from tests.kubernetes.driver import kubectl, notebook, run
from tests.kubernetes.hub_on_host import IMAGE, SERVERS, Guest, Host, on_host
from tests.kubernetes.spawned import NEVER_BOUND, SETTINGS, push_for_other_machines
from tests.kubernetes.where import REGISTRY
from tests.platform.driver import eventually

pytestmark = [pytest.mark.kubernetes, pytest.mark.on_node, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The platform."""
    with on_host(tmp_path_factory.mktemp("spawner"), SETTINGS) as host:
        kubectl("apply", "-n", SERVERS, "-f", "-", given=json.dumps(NEVER_BOUND).encode())
        push_for_other_machines()
        yield host


def ended(guest: Guest) -> dict[str, Any]:
    """The newest pod, once it has ended."""
    return eventually(lambda: guest.pod, lambda pod: pod["status"]["phase"] == "Failed", 30)


def layer(pod: dict[str, Any]) -> Path:
    """The writable layer of the server's container, on this host."""
    id_ = notebook(pod)["containerID"].removeprefix("containerd://")
    info = json.loads(run("ctr", "-n", "k8s.io", "containers", "info", id_))
    mounts = run(
        "ctr", "-n", "k8s.io", "snapshots", "--snapshotter", info["Snapshotter"],
        "mounts", "/x", info["SnapshotKey"],
    )  # fmt: skip
    options = mounts.split("-o ")[1].split(",")
    upper = next(one for one in options if one.strip().startswith("upperdir="))
    return Path(upper.strip().removeprefix("upperdir="))


def test_a_start_says_what_happens_and_a_stop_keeps_the_layer(host: Host) -> None:
    ada = host.user("ada")
    ada.begin()
    said = ada.messages()
    assert said[-1].startswith("Server ready"), said
    assert "starting JupyterLab" in said
    assert "your server is ready" in said
    assert len(said) == len(set(said)), "each step is told once"
    assert ada.server().status == ServerStatus.RUNNING
    pod = ada.pod
    assert pod["metadata"]["annotations"]["atoll.dev/start-id"].startswith("st-")
    ada.sh("echo mine > /opt/environment/mine")

    began = time.monotonic()
    ada.stop()
    assert time.monotonic() - began < 5, "the hub waits for no save and no pod"
    over = ended(ada)
    assert over["metadata"]["uid"] == pod["metadata"]["uid"]
    assert over["metadata"]["labels"]["atoll.dev/unsaved"] == "true"
    assert over["status"]["reason"] == "DeadlineExceeded"
    assert (layer(over) / "opt/environment/mine").read_text() == "mine\n"
    assert ada.server().status in (ServerStatus.UNSAVED, ServerStatus.SAVING)


def test_a_hub_that_was_killed_finds_its_servers_and_stops_them(host: Host) -> None:
    bo = host.user("bo")
    bo.start()
    pod = bo.pod
    host.kill("hub")
    host.begin("hub")
    eventually(lambda: bo.servers().get(""), lambda server: bool(server and server["ready"]))
    bo.stop()
    assert ended(bo)["metadata"]["uid"] == pod["metadata"]["uid"]


def test_a_pod_that_a_killed_hub_was_starting_is_ended_before_the_next_start(host: Host) -> None:
    cy = host.user("cy")
    cy.begin(profile="deaf")
    eventually(cy.pods, lambda pods: bool(pods) and pods[0]["status"]["phase"] == "Running")
    host.kill("hub")
    host.begin("hub")
    cy = host.user("cy")
    cy.begin(profile="small")
    over = eventually(lambda: cy.pods()[0], lambda pod: pod["status"]["phase"] == "Failed")
    assert over["metadata"]["labels"]["atoll.dev/unsaved"] == "true"
    assert over["status"]["reason"] == "DeadlineExceeded"


def test_a_server_that_ends_by_itself_is_noticed_and_its_pod_stays(host: Host) -> None:
    di = host.user("di")
    di.start()
    ip = di.pod["status"]["podIP"]
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://{ip}:8888/end", trust_env=False)
    eventually(di.servers, lambda servers: not servers)
    over = ended(di)
    status = notebook(over)
    assert status["state"]["terminated"]["exitCode"] == 7
    assert (layer(over) / "opt/environment/began").exists()


def test_two_servers_of_a_user_are_two_pods_and_end_apart(host: Host) -> None:
    ed = host.user("ed")
    ed.start()
    ed.start("other")
    assert len(ed.pods()) == 2
    ed.stop("other")
    eventually(
        lambda: sorted(pod["status"]["phase"] for pod in ed.pods()),
        lambda phases: phases == ["Failed", "Running"],
    )
    assert ed.servers()[""]["ready"]
    ed.stop()


def test_a_start_that_is_given_up_leaves_no_pod(host: Host) -> None:
    fay = host.user("fay")
    fay.begin(profile="nowhere")
    eventually(fay.pods, bool)
    eventually(lambda: fay.api("DELETE", "users/fay/server").status_code, lambda code: code < 300)
    eventually(fay.pods, lambda pods: not pods)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"profile": "choices", "image": "gone"}, "cannot be pulled"),
        (
            {"profile": "choices", "own_image": f"{REGISTRY}/kept/ada:1"},
            "saved environments are kept",
        ),
        ({"profile": "choices", "own_image": "docker.io/evil:1"}, "not allowed here"),
        ({"profile": "nowhere"}, "No node had room for your server within 8 s: 0 of"),
        ({"profile": "gpu"}, "Insufficient nvidia.com/gpu"),
        ({"profile": "ends"}, "the server found its configuration to be wrong"),
        ({"profile": "hungry"}, "needed more memory than its 0.0625 GB"),
        ({"profile": "foreign"}, "another kind of processor"),
        ({"profile": "other"}, "another kind of processor"),
        ({"profile": "bare"}, "must have /opt/atoll/bin/jupyterhub-singleuser"),
        (
            {"profile": "unbound"},
            "The volume of the claim there-is-none, which your server needs, was not there",
        ),
        ({"profile": "waits"}, "A volume that your server needs was not there within 8 s"),
        ({"environment": "nonsense"}, "is no environment"),
    ],
)
def test_a_start_that_cannot_be_says_what_happened_and_what_to_do(
    host: Host, options: dict[str, str], said: str
) -> None:
    name = "gus-" + "-".join(options.values()).replace("/", "-").replace(":", "-")[:40]
    gus = host.user(name)
    refusal = gus.refusal(**options)
    assert said in refusal
    if "own_image" not in options and "environment" not in options:
        assert "Your saved environments are safe." in refusal
        assert "Ask the operators." in refusal
    eventually(gus.pods, lambda pods: all(pod["status"]["phase"] == "Failed" for pod in pods), 60)


def test_a_server_that_does_not_answer_is_given_up(host: Host) -> None:
    hal = host.user("hal")
    assert "did not answer within 30 s" in hal.refusal(profile="deaf")
    ended(hal)


@contextmanager
def quota(**hard: str) -> Iterator[None]:
    """A quota of the servers' namespace."""
    document = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "team", "namespace": SERVERS},
        "spec": {"hard": hard},
    }
    kubectl("apply", "-f", "-", given=json.dumps(document).encode())
    settled: Callable[[], str] = lambda: kubectl(  # noqa: E731
        "get", "quota", "team", "-n", SERVERS, "-o", "jsonpath={.status.hard}"
    )
    eventually(settled, bool)
    try:
        yield
    finally:
        kubectl("delete", "quota", "team", "-n", SERVERS)


def test_a_quota_is_waited_for_and_then_named(host: Host) -> None:
    ida = host.user("ida")
    with quota(**{"limits.cpu": "0.1"}):
        refusal = ida.refusal(profile="small")  # 0.2 CPU never fit
    assert "The quota team of this platform is used up" in refusal
    with quota(pods="0"):
        began = time.monotonic()
        refusal = ida.refusal(profile="small")
        assert "asks for pods=1" in refusal
        assert time.monotonic() - began < 60


def test_a_quota_that_gets_room_lets_the_start_go_on(host: Host) -> None:
    jo, kim = host.user("jo"), host.user("kim")
    jo.start()
    alive = [
        pod
        for pod in json.loads(kubectl("get", "pods", "-n", SERVERS, "-o", "json"))["items"]
        if pod["status"]["phase"] == "Running"
    ]
    with quota(pods=str(len(alive))):
        kim.begin()
        said = []
        for message in kim.follow():
            if message.startswith("waiting for the quota"):
                said.append(message)
                if len(said) == 1:
                    jo.stop()
        assert said
        kim.wait_ready()
    kim.stop()


def test_a_pod_that_kueue_holds_back_waits_as_long_as_kueue_wants(host: Host) -> None:
    ray = host.user("ray")
    ray.begin(profile="gated")
    said = ray.follow()
    assert any("Kueue" in message for message in said)
    began = time.monotonic()
    eventually(
        lambda: time.monotonic() - began, lambda passed: passed > 10
    )  # schedule_timeout_s: 8
    name = ray.pod["metadata"]["name"]
    gone = '[{"op": "remove", "path": "/spec/schedulingGates"}]'
    kubectl("patch", "pod", name, "-n", SERVERS, "--type=json", "-p", gone)
    ray.wait_ready()
    ray.stop()


def test_a_home_of_its_own_class_is_bound_and_kept(host: Host) -> None:
    host.write(hub={"storage": {"kind": "dynamic", "capacity": "16Mi"}, "schedule_timeout_s": 120})
    host.kill("hub")
    host.begin("hub")
    try:
        lou = host.user("lou")
        lou.start()
        lou.sh("echo kept > /home/jovyan/note")
        lou.start("other")
        assert lou.sh("cat /home/jovyan/note") == "kept\n", "a user's servers share the home"
        assert len({pod["spec"]["nodeName"] for pod in lou.pods()}) == 1
        lou.stop()
        lou.stop("other")
        claims = json.loads(kubectl("get", "pvc", "-n", SERVERS, "-o", "json"))["items"]
        homes = [one for one in claims if one["metadata"]["name"] != "waits"]
        assert [one["status"]["phase"] for one in homes] == ["Bound"]
    finally:
        host.write()
        host.kill("hub")
        host.begin("hub")


def test_the_page_says_that_a_profile_lacks_gpus_before_it_is_chosen(host: Host) -> None:
    page = host.user("mia").http.get("hub/spawn/mia").text
    assert "no node has a GPU now" in page


@pytest.fixture
def agent(host: Host) -> Iterator[None]:
    """What saves ended pods, which stay as they are in the other tests."""
    host.begin("agent")
    yield
    host.kill("agent")


@pytest.mark.usefixtures("agent")
def test_stop_save_and_continue_by_digest_with_an_agent_on_the_host(host: Host) -> None:
    nia = host.user("nia")
    nia.start()
    nia.sh("echo mine > /opt/environment/mine")
    nia.stop()
    eventually(nia.server, lambda server: server.status == ServerStatus.SAVED, 60)
    eventually(nia.pods, lambda pods: not pods)
    (saved,) = nia.checkpoints()
    nia.start()
    assert nia.sh("cat /opt/environment/mine") == "mine\n"
    server, _ = nia.pod["spec"]["containers"]
    assert server["image"] == f"{REGISTRY}/kept/nia@{saved.digest}"
    nia.stop()
    eventually(nia.pods, lambda pods: not pods, 60)

    manifest = f"http://{REGISTRY}/v2/kept/nia/manifests/{saved.digest}"
    assert httpx.delete(manifest, trust_env=False).status_code == 202
    run("ctr", "-n", "k8s.io", "images", "rm", f"{REGISTRY}/kept/nia@{saved.digest}")
    newest = nia.checkpoints()[0]
    if newest.digest != saved.digest:
        assert newest.digest is not None
        other = f"http://{REGISTRY}/v2/kept/nia/manifests/{newest.digest}"
        httpx.delete(other, trust_env=False)
    nia.begin()
    said = nia.messages()
    assert any("cannot be pulled: the next best one is started" in one for one in said), said
    assert said[-1].startswith("Server ready"), said
    assert nia.pod["spec"]["containers"][0]["image"] == IMAGE
    nia.stop()


@pytest.fixture
def cut(host: Host, tmp_path: Path) -> Iterator[Cut]:
    """The hub's way to the API server."""
    document = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    cluster = document["clusters"][0]["cluster"]
    server = urlsplit(cluster["server"])
    assert server.hostname is not None
    cut = Cut(server.hostname, server.port or 443)
    cluster["server"] = f"https://127.0.0.1:{cut.port}"
    cluster["tls-server-name"] = server.hostname
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(document))
    host.variables["hub"] = {"ATOLL_KUBERNETES__KUBECONFIG": str(tmp_path / "kubeconfig")}
    host.kill("hub")
    host.begin("hub")
    yield cut
    cut.close()
    host.variables.clear()
    host.kill("hub")
    host.begin("hub")


def test_a_minute_without_api_server_ends_no_server_and_heals(host: Host, cut: Cut) -> None:
    oda = host.user("oda")
    oda.start()
    uid = oda.pod["metadata"]["uid"]
    cut.sever()
    deadline = time.monotonic() + 75  # KubeSpawner's watch has given up by then
    while time.monotonic() < deadline:
        assert oda.servers()[""]["ready"]
        time.sleep(1)
    cut.heal()
    oda.begin("other")
    oda.wait_ready("other")
    assert oda.servers()[""]["ready"]
    oda.stop()
    over = eventually(
        lambda: [pod for pod in oda.pods() if pod["metadata"]["uid"] == uid],
        lambda pods: bool(pods) and pods[0]["status"]["phase"] == "Failed",
    )
    assert over[0]["metadata"]["labels"]["atoll.dev/unsaved"] == "true"


def test_a_stop_while_the_api_server_is_away_is_carried_out_once_it_is_back(
    host: Host, cut: Cut
) -> None:
    pia = host.user("pia")
    pia.start()
    cut.sever()
    answer = pia.api("DELETE", "users/pia/server")
    assert answer.status_code in (202, 204)
    eventually(pia.servers, lambda servers: not servers, 60)
    cut.heal()
    assert ended(pia)["metadata"]["labels"]["atoll.dev/unsaved"] == "true"
