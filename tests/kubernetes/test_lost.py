"""Pods removed by force and nodes that vanish: what can be saved is, and of the rest the truth is told."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import httpx
import pytest
from atoll.checkpoints import client
from atoll.checkpoints.lost import REMOVED
from atoll.checkpoints.models import CheckpointRequest, CheckpointStatus, ServerStatus

from tests.kubernetes import simulated
from tests.kubernetes.driver import kubectl, objects, run
from tests.kubernetes.hub_on_host import IMAGE, SERVERS, Guest, Host, on_host
from tests.kubernetes.where import REGISTRY
from tests.platform.driver import eventually

pytestmark = [pytest.mark.kubernetes, pytest.mark.on_node, pytest.mark.timeout(400)]

MINE: Final = "/opt/environment/mine"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The platform, without an agent."""
    tag = f"http://{REGISTRY}/v2/atoll-test/spawned/manifests/dev"
    accepted = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    size = {"cpu": 0.2, "memory": "128M", "cpu_guarantee": 0.01}
    fake = {"key": "kwok.x-k8s.io/node", "operator": "Exists"}
    with on_host(tmp_path_factory.mktemp("lost"), {}) as host:
        digest = httpx.head(tag, headers=accepted).headers["Docker-Content-Digest"]
        image = f"{IMAGE.rpartition(':')[0]}@{digest}"
        far = {"node_selector": {"type": "kwok"}, "tolerations": [fake]}
        profiles = {
            "small": {"title": "Small", **size},
            "far": {"title": "Far", "image": image, **far, **size},
        }
        host.settings = {**host.settings, "hub": {"profiles": profiles}}
        host.write()
        host.kill("hub")
        host.begin("hub")
        yield host


def force(pod: dict[str, Any]) -> None:
    """What people do to a pod that does not go."""
    name = pod["metadata"]["name"]
    kubectl("delete", "pod", name, "-n", SERVERS, "--grace-period=0", "--force")


def containers(pod: dict[str, Any]) -> list[str]:
    """What its node has of the pod, whatever the API server says."""
    which = f'labels."io.kubernetes.pod.uid"=={pod["metadata"]["uid"]},labels."io.cri-containerd.kind"==container'
    return run("ctr", "-n", "k8s.io", "containers", "ls", "-q", which).split()


def saved(guest: Guest, within_s: float = 60) -> Any:
    """The server, once there is nothing to save any more."""
    return eventually(guest.server, lambda one: one.status == ServerStatus.SAVED, within_s)


def notice(guest: Guest) -> str:
    """The page on which she starts her server again."""
    eventually(guest.servers, lambda found: not found, 60)
    return guest.http.get("hub/spawn").text


def test_a_server_removed_by_force_is_saved_if_its_node_leaves_the_time_and_the_truth_is_told(
    host: Host,
) -> None:
    host.begin("agent")
    try:
        ada = host.user("ada")
        ada.start(profile="small")
        ada.sh(f"echo mine > {MINE}")
        force(ada.pod)  # its node ends it within two seconds, and removes it soon after
        over = saved(ada)
        assert over.ended_why == REMOVED
        shown = notice(ada)
        assert REMOVED.split("'")[1] in shown
        kept = over.environment is not None
        assert ("What was changed since the last save is lost" in shown) is not kept
        ada.start(profile="small")
        assert (ada.sh(f"cat {MINE}", check=False) == "mine\n") is kept
        ada.stop()
        saved(ada)
    finally:
        host.kill("agent")


def test_what_the_node_has_removed_is_said_to_be_lost_and_the_last_save_is_started(
    host: Host,
) -> None:
    host.begin("agent")
    bo = host.user("bo")
    bo.start(profile="small")
    early = save(bo, "early")
    bo.sh(f"echo late > {MINE}")
    pod = bo.pod
    host.kill("agent")
    force(pod)
    eventually(bo.server, lambda one: one.status == ServerStatus.SAVING, 15)
    eventually(lambda: containers(pod), lambda there: not there, 90)
    assert bo.server().status == ServerStatus.SAVING, "nobody has looked on its node yet"
    host.begin("agent")
    try:
        over = saved(bo)
        assert over.environment == early
        assert "What was changed since the last save is lost" in str(over.message)
        assert over.ended_why == REMOVED
        assert "is lost" in notice(bo)
        assert bo.checkpoints()[0].status == CheckpointStatus.FAILED
        bo.start(profile="small")
        assert bo.sh(f"cat {MINE}") == "early\n"
        bo.stop()
        saved(bo)
    finally:
        host.kill("agent")


def save(guest: Guest, text: str) -> str:
    """Change something and save it while the server runs: its digest."""
    guest.sh(f"echo {text} > {MINE}")
    with guest.connection() as service:
        asked = service.send(client.save(CheckpointRequest(server="-")))
        done = eventually(
            lambda: service.send(client.checkpoint(asked.id)), lambda one: one.status.final, 60
        )
    assert done.status == CheckpointStatus.READY, done
    assert done.digest is not None
    return str(done.digest)


@pytest.fixture
def far_node(host: Host) -> Iterator[str]:
    """A node that is simulated; what answers in its pods is a thread of ours."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("X-JupyterHub-Version", "6.1.1")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with simulated.nodes(1) as names, ThreadingHTTPServer((host.ip, 8888), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield names[0]
        server.shutdown()


def saved_then_far(host: Host, name: str) -> tuple[Guest, str, str]:
    """Somebody whose server runs on the far node; the name of its pod, and what she has saved before."""
    host.begin("agent")
    try:
        guest = host.user(name)
        guest.start(profile="small")
        guest.sh(f"echo early > {MINE}")
        guest.stop()
        early = str(saved(guest).environment)
    finally:
        host.kill("agent")
    guest.begin(profile="far")
    there = eventually(
        guest.pods, lambda pods: [one["status"]["phase"] for one in pods] == ["Running"]
    )
    pod = str(there[0]["metadata"]["name"])
    ran = [
        {**one, "containerID": "simulated://1"}  # else there is nothing to keep
        for one in there[0]["status"]["containerStatuses"]
    ]
    answers = {"status": {"podIP": host.ip, "podIPs": [{"ip": host.ip}], "containerStatuses": ran}}
    patch = ("--type=merge", "--subresource=status", "-p", json.dumps(answers))
    kubectl("patch", "pod", pod, "-n", SERVERS, *patch)
    guest.wait_ready()
    assert guest.server().status == ServerStatus.RUNNING
    return guest, pod, early


def ready(node: str) -> str:
    """Whether the cluster takes the node for ready: True, False, or Unknown where it is silent."""
    conditions = json.loads(kubectl("get", "node", node, "-o", "json"))["status"]["conditions"]
    return str(next(one["status"] for one in conditions if one["type"] == "Ready"))


@contextmanager
def silent_kubelet() -> Iterator[None]:
    """The kubelet of this host stands still: containers go on, and its node says nothing."""
    [pid] = run("pgrep", "-f", r"(^|/| )kubelet --").split()
    os.kill(int(pid), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(int(pid), signal.SIGCONT)


def test_a_kubelet_that_comes_back_to_a_server_that_was_given_up_leaves_it_to_be_saved(
    host: Host,
) -> None:
    host.begin("agent")
    try:
        eve = host.user("eve")
        eve.start(profile="small")
        eve.sh(f"echo mine > {MINE}")
        with silent_kubelet():
            eventually(lambda: ready(host.node), lambda status: status == "Unknown", 120)
            kubectl("delete", "pod", eve.pod["metadata"]["name"], "-n", SERVERS, "--wait=false")
            eventually(eve.server, lambda one: one.ended_why is not None, 30)
            pod = eve.pod
            assert pod["metadata"]["deletionTimestamp"]
            assert pod["spec"]["activeDeadlineSeconds"] == 1
            assert eve.server().status != ServerStatus.SAVED

        eventually(lambda: ready(host.node), lambda status: status == "True", 60)
        assert saved(eve, 120).environment is not None
        assert eve.checkpoints()[0].status == CheckpointStatus.READY
        eventually(eve.pods, lambda pods: not pods, 60)
        eve.start(profile="small")
        assert eve.sh(f"cat {MINE}") == "mine\n"
        eve.stop()
        saved(eve)
    finally:
        host.kill("agent")


def test_a_node_that_stays_silent_has_its_server_ended_once_the_cluster_gives_it_up(
    host: Host, far_node: str
) -> None:
    di, pod, early = saved_then_far(host, "di")
    with simulated.silence():
        eventually(lambda: ready(far_node), lambda status: status == "Unknown", 120)
        assert di.server().status == ServerStatus.RUNNING, "it may answer in a minute"
        kubectl("delete", "pod", pod, "-n", SERVERS, "--wait=false")  # as the cluster after five

        over = eventually(di.server, lambda one: one.ended_why is not None, 30)

        assert f"its node {far_node} does not answer since" in str(over.ended_why)
        assert over.environment == early
        told = notice(di)  # the hub has let it go
        assert f"its node {far_node} does not answer since" in told
        assert "What was saved until" in told
        there = [one for one in objects("pods", SERVERS) if one["metadata"]["name"] == pod]
        assert there[0]["metadata"]["labels"]["atoll.dev/unsaved"] == "true"
        assert di.server().status == ServerStatus.SAVING, "its node may come back"
    kubectl("delete", "node", far_node)
    assert saved(di, 150).environment == early


def test_a_node_that_vanishes_with_a_server_on_it_takes_what_was_not_saved_and_no_more(
    host: Host, far_node: str
) -> None:
    cy, name, early = saved_then_far(host, "cy")

    kubectl("delete", "node", far_node)
    # Kubernetes collects its pods after a while; until then nothing is concluded
    assert cy.server().status == ServerStatus.RUNNING
    assert cy.server().ended_why is None
    over = saved(cy, 150)

    assert not [pod for pod in objects("pods", SERVERS) if pod["metadata"]["name"] == name]
    assert over.ended_why == REMOVED
    assert over.environment == early
    assert f"gone with its node {far_node}" in str(over.message)
    shown = notice(cy)
    assert f"gone with its node {far_node}" in shown
    assert cy.checkpoints()[0].reason == "node_lost"
    cy.start(profile="small")
    assert cy.pod["spec"]["containers"][0]["image"].endswith(f"@{early}")
    assert cy.sh(f"cat {MINE}") == "early\n"
    cy.stop()
