"""What the agent sees of a real containerd's containers, whatever they are doing."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from atoll.agent.errors import (
    AmbiguousError,
    BaseGoneError,
    ContainerRemovedError,
    NoContainerError,
    RuntimeUnavailableError,
    SnapshotterError,
)
from atoll.agent.processes import mine
from atoll.agent.runtimes.choice import RuntimeName, runtime_of
from atoll.agent.runtimes.container import State
from atoll.agent.runtimes.containerd import Containerd
from atoll.agent.runtimes.containerd_content import OWNER_LABEL
from atoll.oci.store import chunks

from tests.contract.agent.node import BASE, Node, until

FOREVER = "while :; do sleep 1000; done"


def test_a_running_container_is_found_with_its_layers_and_its_process(
    node: Node, runtime: Containerd
) -> None:
    identity = node.run(f"echo hello > /etc/greeting; {FOREVER}")
    found = runtime.find(identity)
    assert (found.state, found.name, found.snapshotter) == (State.RUNNING, identity, "overlayfs")
    assert found.pid is not None
    command = Path(f"/proc/{found.pid}/cmdline")
    until(lambda: b"/bin/sh" in command.read_bytes(), "runc starts it")
    assert found.image.name == BASE
    assert found.cgroup == f"{node.cgroup}/{identity}"
    until((found.upper / "etc" / "greeting").exists, "the container writes")
    assert found.lowers
    assert (found.lowers[0] / "etc" / "motd").read_text() == "welcome\n"
    node.remove(identity)


def test_a_process_alone_shows_the_same_layers(node: Node, runtime: Containerd) -> None:
    identity = node.run(FOREVER)
    found = runtime.find(identity)
    with runtime_of(str(found.pid), RuntimeName.PROCESS) as (processes, seen):
        assert (seen.upper, seen.lowers) == (found.upper, found.lowers)
        assert set(seen.targets) <= set(found.targets)
        with pytest.raises(BaseGoneError, match="not known which image"), processes.base(seen):
            pass
    with pytest.raises(NoContainerError, match="no pid"), runtime_of("x", RuntimeName.PROCESS):
        pass
    node.remove(identity)


def test_where_something_is_mounted_is_known_at_rest_too(
    node: Node, runtime: Containerd, tmp_path: Path
) -> None:
    options = ("--mount", f"type=bind,src={tmp_path},dst=/home/data,options=rbind:rw")
    identity = node.run("true", options=options, wait=True)
    found = runtime.find(identity)
    assert (found.state, found.pid) == (State.EXITED, None)
    assert {b"proc", b"dev", b"sys", b"home/data"} <= set(found.targets)
    node.remove(identity)


def test_a_killed_container_is_at_rest(node: Node, runtime: Containerd) -> None:
    identity = node.run(FOREVER)
    pid = runtime.find(identity).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    node.ended(identity)
    assert runtime.find(identity).state is State.EXITED
    node.remove(identity)


def test_a_paused_container_is_paused(node: Node, runtime: Containerd) -> None:
    identity = node.run(FOREVER)
    node.ctr("tasks", "pause", identity)
    assert runtime.find(identity).state is State.PAUSED
    node.ctr("tasks", "resume", identity)
    assert runtime.find(identity).state is State.RUNNING
    node.remove(identity)


def test_a_container_that_never_ran_is_at_rest(node: Node, runtime: Containerd) -> None:
    node.ctr("containers", "create", BASE, "never", "/bin/true")
    assert runtime.find("never").state.at_rest
    node.ctr("containers", "rm", "never")


def test_the_beginning_of_an_id_and_a_pods_name_are_enough(node: Node, runtime: Containerd) -> None:
    labels = ("namespace=hub", "pod.name=jupyter-ada", "container.name=notebook")
    options = [part for label in labels for part in ("--label", f"io.kubernetes.{label}")]
    options[1] = "io.kubernetes.pod.namespace=hub"
    node.ctr("containers", "create", *options, BASE, "0123456789abcdef", "/bin/true")
    node.ctr("containers", "create", BASE, "0123fedcba", "/bin/true")
    assert runtime.find("01234").id == "0123456789abcdef"
    found = runtime.find("hub/jupyter-ada/notebook")
    assert (found.id, found.name) == ("0123456789abcdef", "hub/jupyter-ada/notebook")
    with pytest.raises(AmbiguousError, match="0123456789abcdef"):
        runtime.find("0123")
    node.ctr("containers", "rm", "0123456789abcdef", "0123fedcba")


@pytest.mark.parametrize("name", ["nobody", "", "../box1", "a b", "grüße"])
def test_a_container_that_is_not_there_is_an_error_with_a_code(
    node: Node, runtime: Containerd, name: str
) -> None:
    with pytest.raises(NoContainerError) as caught:
        runtime.find(name)
    assert caught.value.code == "container_not_found"
    assert repr(node.namespace) in caught.value.detail


def test_a_snapshotter_without_an_upper_directory_is_refused_by_name(
    node: Node, runtime: Containerd
) -> None:
    command = ("--snapshotter", "native", BASE, "native-box", "/bin/true")
    node.ctr("run", "-d", "--cgroup", f"{node.cgroup}/native-box", *command)
    node.ended("native-box")
    with pytest.raises(SnapshotterError, match="'native'") as caught:
        runtime.find("native-box")
    assert caught.value.code == "snapshotter_unsupported"
    node.remove("native-box")


def test_a_container_whose_layer_is_being_removed_is_an_error_with_a_code(
    node: Node, runtime: Containerd
) -> None:
    identity = node.run("true", wait=True)
    node.ctr("tasks", "rm", identity)
    node.ctr("snapshots", "rm", identity)
    with pytest.raises(ContainerRemovedError) as caught:
        runtime.find(identity)
    assert caught.value.code == "container_removed"
    node.ctr("containers", "rm", identity)


def test_the_image_is_the_one_that_the_container_was_made_from_though_its_name_has_moved(
    node: Node, runtime: Containerd
) -> None:
    node.ctr("images", "tag", BASE, "test:moving")
    identity = node.run("true", image="test:moving", wait=True)
    before = runtime.find(identity)
    node.ctr("images", "tag", "--force", "test:empty", "test:moving")
    with runtime.base(before) as base:
        assert base.image.digest == before.image.digest
        layer = base.image.manifest.layers[-1]
        assert sum(map(len, chunks(base.content, layer))) == layer.size
    node.remove(identity)
    node.ctr("images", "rm", "test:moving")


def test_an_image_that_containerd_has_lost_is_an_error_that_names_it(
    node: Node, runtime: Containerd
) -> None:
    node.ctr("images", "tag", BASE, "test:lost")
    identity = node.run("true", image="test:lost", wait=True)
    found = runtime.find(identity)
    node.ctr("images", "rm", "--sync", "test:lost", BASE)
    with pytest.raises(BaseGoneError, match="test:lost"), runtime.base(found):
        pass
    node.remove(identity)
    node.load_base()


def test_the_images_content_stays_while_it_is_read_though_the_image_is_removed(
    node: Node, runtime: Containerd
) -> None:
    identity = node.run("true", wait=True)
    with runtime.base(runtime.find(identity)) as base:
        node.ctr("images", "rm", "--sync", BASE)
        node.ctr("images", "rm", "--sync", "test:empty")
        layer = base.image.manifest.layers[-1]
        assert sum(map(len, chunks(base.content, layer))) == layer.size
    assert leases(node) == []
    node.remove(identity)
    node.load_base()


def test_a_killed_agents_lease_is_removed_by_the_next_and_a_living_ones_is_not(
    node: Node, runtime: Containerd
) -> None:
    namespace, _, started = mine().split(".")
    gone = f"{namespace}.{2**22 - 1}.{started}"
    for name, owner in (("atoll-agent-dead", gone), ("atoll-agent-alive", mine())):
        node.ctr("leases", "create", "--id", name, f"{OWNER_LABEL}={owner}")
    node.ctr("leases", "create", "--id", "somebody-elses")
    identity = node.run("true", wait=True)
    with runtime.base(runtime.find(identity)):
        assert "atoll-agent-dead" not in leases(node)
        assert len(leases(node)) == 3
    assert sorted(leases(node)) == ["atoll-agent-alive", "somebody-elses"]
    for name in leases(node):
        node.ctr("leases", "rm", name)
    node.remove(identity)


def leases(node: Node) -> list[str]:
    return node.ctr("leases", "ls", "-q").split()


def test_a_socket_where_nobody_listens_is_an_error_that_names_it(tmp_path: Path) -> None:
    nobody = Containerd(tmp_path / "none.sock")
    with pytest.raises(RuntimeUnavailableError, match=r"none\.sock") as caught:
        nobody.find("x")
    assert caught.value.code == "runtime_unavailable"
    nobody.close()


def test_the_version_is_the_one_that_containerd_says(runtime: Containerd) -> None:
    said = subprocess.run(["containerd", "--version"], capture_output=True, check=True).stdout
    assert runtime.version().encode() in said
