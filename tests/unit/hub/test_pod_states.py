"""What a starting pod is doing, from what Kubernetes says of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from atoll.hub import pod_states
from atoll.hub.pod_states import Trouble
from atoll.kit.kube.objects import Event, Pod

NOT_FOUND = (
    'failed to pull and unpack image "localhost:5000/x:y": failed to resolve reference'
    ' "localhost:5000/x:y": localhost:5000/x:y: not found'
)


def _pod(node: str = "n1", **status: Any) -> Pod:
    spec = {"nodeName": node} if node else {}
    return msgspec.convert({"metadata": {"name": "p"}, "spec": spec, "status": status}, Pod)


def _waits(reason: str, message: str = "", name: str = "notebook") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": name, "image": "localhost:5000/x:y", "state": state}


def _ended(code: int, reason: str, message: str = "") -> dict[str, Any]:
    over = {"exitCode": code, "reason": reason, "message": message}
    return {"name": "notebook", "containerID": "containerd://1", "state": {"terminated": over}}


def _unscheduled(message: str) -> Pod:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
    }
    return _pod(node="", phase="Pending", conditions=[condition])


def _event(reason: str, message: str = "") -> Event:
    return Event(reason=reason, message=message)


def test_a_pod_that_fits_no_node_says_so_in_the_schedulers_words() -> None:
    message = (
        "0/3 nodes are available: 1 Insufficient memory, 2 node(s) had untolerated taint {gpu: }."
        " preemption: 0/3 nodes are available: 3 No preemption victims found."
    )
    step = pod_states.read(_unscheduled(message), [])
    assert step.message == (
        "waiting for a node: 0 of 3 can take it (1 Insufficient memory, 2 node(s) had untolerated"
        " taint {gpu: })"
    )
    assert step.trouble == Trouble.NO_NODE
    assert not step.failed
    assert step.detail == message


def test_what_the_scheduler_says_of_other_things_is_left_out() -> None:
    message = (
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1"
        " nodes are available: 1 Preemption is not helpful for scheduling."
    )
    step = pod_states.read(_unscheduled(message), [])
    assert step.message == "waiting for a node: 0 of 1 can take it (1 Insufficient cpu)"


def test_a_node_that_is_being_added_is_said() -> None:
    pod = _unscheduled("0/1 nodes are available: 1 Insufficient cpu.")
    added = pod_states.read(pod, [_event("TriggeredScaleUp", "pod triggered scale-up: …")])
    assert added.message.endswith("; one is being added")
    never = pod_states.read(pod, [_event("TriggeredScaleUp"), _event("NotTriggerScaleUp")])
    assert never.message.endswith("; the cluster cannot add one")


def test_a_volume_that_does_not_bind_is_waited_for() -> None:
    message = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    step = pod_states.read(_unscheduled(message), [])
    assert step.trouble == Trouble.VOLUME
    assert "volume" in step.message


def test_a_pod_that_kueue_holds_back_waits_for_it() -> None:
    step = pod_states.read(_pod(node="", phase="Pending"), [], ["kueue.x-k8s.io/admission"])
    assert step.trouble == Trouble.GATED
    assert "Kueue" in step.message
    assert not step.failed


def test_pulling_is_told_with_the_image_and_then_its_size() -> None:
    pod = _pod(phase="Pending", containerStatuses=[_waits("ContainerCreating")])
    digest = "localhost:5000/atoll/ada@sha256:" + "a" * 64
    pulling = pod_states.read(pod, [_event("Pulling", f'Pulling image "{digest}"')])
    assert pulling.message == "pulling the image localhost:5000/atoll/ada (aaaaaaaa…)"
    done = 'Successfully pulled image "x" in 2.1s (2.1s including waiting). Image size: 312000000 bytes.'
    assert pod_states.read(pod, [_event("Pulled", done)]).message == "the image is there (312 MB)"


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_an_image_that_is_not_there_cannot_be_pulled(reason: str) -> None:
    step = pod_states.read(_pod(containerStatuses=[_waits(reason, NOT_FOUND)]), [])
    assert step.trouble == Trouble.IMAGE
    assert step.failed
    assert step.detail == NOT_FOUND


@pytest.mark.parametrize(
    "message",
    [
        "dial tcp 127.0.0.1:5000: connect: connection refused",
        "dial tcp: lookup registry: no such host",
        "unexpected status from HEAD request: 503 Service Unavailable",
        "net/http: TLS handshake timeout",
        "read: connection reset by peer",
    ],
)
def test_a_registry_that_is_away_is_waited_for(message: str) -> None:
    step = pod_states.read(_pod(containerStatuses=[_waits("ErrImagePull", message)]), [])
    assert step.trouble == Trouble.PULL
    assert not step.failed


def test_a_container_beside_the_server_is_named() -> None:
    statuses = [_waits("ErrImagePull", NOT_FOUND, name="atoll-hold")]
    step = pod_states.read(_pod(initContainerStatuses=statuses), [])
    assert (step.trouble, step.container) == (Trouble.IMAGE, "atoll-hold")


def test_a_server_that_needs_too_much_memory_is_told_apart_from_one_that_fails() -> None:
    memory = pod_states.read(_pod(containerStatuses=[_ended(137, "OOMKilled")]), [])
    assert memory.trouble == Trouble.MEMORY
    failed = pod_states.read(_pod(phase="Failed", containerStatuses=[_ended(1, "Error")]), [])
    assert (failed.trouble, failed.exit_code) == (Trouble.ENDED, 1)


def test_a_pod_that_its_node_turned_down_never_ran() -> None:
    pod = _pod(phase="Failed", reason="OutOfcpu", message="Node didn't have enough resource: cpu")
    step = pod_states.read(pod, [])
    assert step.trouble == Trouble.REJECTED
    assert "OutOfcpu" in step.detail
    assert pod_states.never_ran(pod)
    assert pod_states.exit_status(pod) == 1


def test_a_server_runs_until_its_own_container_ended() -> None:
    running = {"name": "notebook", "containerID": "c", "state": {"running": {}}}
    pod = _pod(phase="Running", containerStatuses=[running])
    assert pod_states.exit_status(pod) is None
    assert not pod_states.never_ran(pod)
    assert pod_states.read(pod, []).running
    assert pod_states.exit_status(_pod(containerStatuses=[_ended(137, "Error")])) == 137
