"""Who may delete a pod that is not saved: the admission policy, asked by each who would."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.helm.chart import render
from tests.kubernetes.driver import kubectl, refused
from tests.platform.driver import eventually

KINDS: Final = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
COLLECTOR: Final = "system:serviceaccount:kube-system:pod-garbage-collector"
REFUSED: Final = "is not saved yet"


@dataclass(frozen=True)
class Guarded:
    """A servers' namespace with the policy, and a node that nobody looks after."""

    namespace: str
    node: str
    service: str

    def pod(
        self, name: str, *, unsaved: bool = True, ended: bool = True, node: str | None = None
    ) -> str:
        """A pod, as it is after its containers have ended; the name."""
        labels = {"atoll.dev/unsaved": "true"} if unsaved else {}
        spec: dict[str, Any] = {
            "nodeName": node or self.node,
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "notebook", "image": "example/none"}],
        }
        meta = {"name": name, "namespace": self.namespace, "labels": labels}
        create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
        if ended:
            status = json.dumps({"status": {"phase": "Failed"}})
            kubectl(
                "patch", "pod", name, "-n", self.namespace, "--subresource=status", "-p", status
            )
        return name

    def delete(self, name: str, *more: str) -> str:
        """What comes of a delete: an empty text where it was let through."""
        return kubectl(
            "delete", "pod", name, "-n", self.namespace, "--wait=false", *more, check=False
        ) if self.there(name) else "gone"  # fmt: skip

    def there(self, name: str) -> bool:
        """Whether the pod stands."""
        return name in kubectl("get", "pods", "-n", self.namespace, "-o", "name")


def create(thing: dict[str, Any]) -> None:
    """Make an object."""
    kubectl("create", "-f", "-", given=json.dumps(thing).encode())


def as_(account: str, *groups: str) -> list[str]:
    """Ask as somebody else, who may do everything that no policy refuses."""
    return [f"--as={account}", *[f"--as-group={one}" for one in (*groups, "system:masters")]]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    """The policy alone: no platform needs to be there."""
    name = f"guard-{uuid.uuid4().hex[:6]}"
    place = Guarded(
        f"{name}-servers", f"{name}-node", f"system:serviceaccount:atoll:{name}-service"
    )
    objects = [one for one in render({"fullnameOverride": name}) if one["kind"] in KINDS]
    create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place.namespace}})
    create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": place.node}})
    for one in objects:
        create(one)
    account = "serviceaccount/default"
    eventually(lambda: kubectl("get", account, "-n", place.namespace, check=False), bool, 20.0)
    place.pod("first")
    # a policy counts a moment after it was made
    eventually(
        lambda: kubectl(
            "delete", "pod", "first", "-n", place.namespace, "--dry-run=server", check=False
        ),
        lambda said: "deleted" not in said,
        20.0,
    )
    yield place
    kubectl("delete", *[f"{one['kind']}/{one['metadata']['name']}" for one in objects])
    kubectl("delete", "node", place.node, "--ignore-not-found")
    kubectl("delete", "namespace", place.namespace, "--timeout=120s")


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--force", "--grace-period=0"],
        as_("system:kube-scheduler"),
        as_("system:serviceaccount:kube-system:taint-eviction-controller"),
        as_("system:serviceaccount:kube-system:namespace-controller"),
        as_("system:serviceaccount:kube-system:generic-garbage-collector"),
        as_("system:serviceaccount:atoll:guard-hub"),
        as_("system:node:{node}", "system:nodes"),
        as_(COLLECTOR),
    ],
    ids=["admin", "force", "scheduler", "taints", "namespaces", "owners", "hub", "kubelet", "collector"],
)  # fmt: skip
def test_nobody_deletes_what_is_not_saved(guarded: Guarded, options: list[str]) -> None:
    who = [option.format(node=guarded.node) for option in options]
    assert REFUSED in refused("delete", "pod", "first", "-n", guarded.namespace, *who)
    assert guarded.there("first")


def test_the_refusal_says_what_to_do(guarded: Guarded) -> None:
    done = subprocess.run(
        ["kubectl", "delete", "pod", "first", "-n", guarded.namespace],
        capture_output=True,
        text=True,
        check=False,
    )
    assert REFUSED in done.stderr
    assert "atoll servers discard" in done.stderr
    assert (
        f"kubectl label --namespace {guarded.namespace} pod first atoll.dev/unsaved-" in done.stderr
    )


def test_deleting_all_of_them_at_once_is_refused_too(guarded: Guarded) -> None:
    kubectl("delete", "pods", "--all", "-n", guarded.namespace, "--wait=false", check=False)
    path = f"/api/v1/namespaces/{guarded.namespace}/pods"
    kubectl("delete", "--raw", path, check=False)
    assert guarded.there("first")


def test_the_service_deletes_it(guarded: Guarded) -> None:
    guarded.pod("saved")
    guarded.delete("saved", "--grace-period=0", "--force", *as_(guarded.service))
    assert not guarded.there("saved")


def test_a_saved_one_is_anybodys(guarded: Guarded) -> None:
    guarded.pod("plain", unsaved=False)
    guarded.delete("plain", "--grace-period=0", "--force")
    assert not guarded.there("plain")


def test_taking_the_label_away_gives_it_up(guarded: Guarded) -> None:
    guarded.pod("given-up")
    kubectl("label", "pod", "given-up", "-n", guarded.namespace, "atoll.dev/unsaved-")
    guarded.delete("given-up", "--grace-period=0", "--force")
    assert not guarded.there("given-up")


def test_a_kubelet_ends_a_deletion_that_was_let_through_before(guarded: Guarded) -> None:
    guarded.pod("leaving", unsaved=False, ended=False)
    guarded.delete("leaving")  # with its grace, which no kubelet ends
    kubectl("label", "pod", "leaving", "-n", guarded.namespace, "atoll.dev/unsaved=true")
    assert guarded.there("leaving")
    guarded.delete("leaving", "--grace-period=0", "--force")
    assert guarded.there("leaving"), "by a person it is refused"
    kubelet = as_(f"system:node:{guarded.node}", "system:nodes")
    guarded.delete("leaving", "--grace-period=0", "--force", *kubelet)
    assert not guarded.there("leaving")


def test_what_was_on_a_lost_node_is_collected_by_itself(guarded: Guarded) -> None:
    node = f"{guarded.node}-lost"
    create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    guarded.pod("lost", node=node)
    assert "deleted" not in guarded.delete("lost", *as_(COLLECTOR)), "its node is there"
    kubectl("delete", "node", node)
    # Kubernetes itself: the collector waits for 40 s, and looks every 20 s
    eventually(lambda: guarded.there("lost"), lambda there: not there, 110.0)
    assert guarded.there("first"), "that node is still there"
