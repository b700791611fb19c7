"""The platform with the chart's own registry: TLS, tokens of the platform, and nodes that are told of it."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from atoll.jobs import client
from atoll.jobs.models import JobRequest, JobStatus, Resources
from atoll.oci.image import machine_architecture

from tests.helm.chart import CHART, helm
from tests.kubernetes import nodes
from tests.kubernetes.driver import Platform, kubectl, objects, run
from tests.kubernetes.where import FOR_TESTS, IMAGES, TAG
from tests.platform.driver import eventually
from tests.service.jobs.platform import notebook

LITTLE: Final = {"resources": {"requests": {"cpu": "5m", "memory": "64Mi"}}}
VALUES: Final[dict[str, Any]] = {
    "images": {"prefix": IMAGES, "tag": TAG},
    **dict.fromkeys(("hub", "proxy", "service", "agents"), LITTLE),
    "registry": {
        **LITTLE,
        "image": f"{FOR_TESTS}/registry:{TAG}",
        "storage": {"size": "2Gi"},
    },
    # the smallest installation, beside others on a small node
    "postgres": {"enabled": False},
    "prePuller": {"enabled": False},
    "settings": {
        "hub": {
            "profiles": {
                "standard": {
                    "title": "Standard",
                    "cpu": 1,
                    "memory": "1G",
                    "cpu_guarantee": 0.05,
                    "memory_guarantee": "100M",
                }
            }
        }
    },
}


@dataclass
class Release(Platform):
    """A release with a name of its own, in a namespace of the same name."""

    @property
    def servers(self) -> str:
        """The namespace of servers."""
        return f"{self.namespace}-servers"

    @property
    def jobs(self) -> str:
        """The namespace of jobs."""
        return f"{self.namespace}-jobs"

    @property
    def agents(self) -> str:
        """The namespace of agents."""
        return f"{self.namespace}-agents"

    @property
    def registry(self) -> str:
        """The registry's name, for pods and nodes alike."""
        return f"{self.namespace}-registry.{self.namespace}.svc.cluster.local:5000"

    @property
    def url(self) -> str:  # type: ignore[override]  # it is cached there
        """What people open: the proxy's Service, which this host reaches."""
        return f"http://{self.address('proxy')}/"

    def address(self, part: str) -> str:
        """The address of a part's Service."""
        name = f"{self.namespace}-{part}"
        return kubectl(
            "get", "service", name, "-n", self.namespace, "-o", "jsonpath={.spec.clusterIP}"
        )

    def secret(self, key: str) -> str:
        """One of the platform's secrets."""
        path = f"jsonpath={{.data.{key}}}"
        found = kubectl("get", "secret", self.namespace, "-n", self.namespace, "-o", path)
        return base64.b64decode(found).decode()


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    """The platform, with nothing but its own."""
    name = f"own-{uuid.uuid4().hex[:6]}"
    release = Release(name)
    options = ["--values", "-", "--set", f"fullnameOverride={name}"]
    told = nodes.values()
    values = {
        **VALUES,
        **{part: {**VALUES[part], **told.get(part, {})} for part in ("agents", "registry")},
    }
    try:
        run(
            helm(), "install", name, str(CHART), "--namespace", name, "--create-namespace",
            "--wait", "--timeout", "5m", *options, given=json.dumps(values).encode(),
        )  # fmt: skip
        kubectl(
            "rollout", "status", f"daemonset/{name}-agent", "-n", release.agents, "--timeout=60s"
        )
        yield release
    finally:
        for browser in release.browsers:
            browser.close()
        run(
            helm(), "uninstall", name, "--namespace", name, "--wait", "--timeout", "2m", check=False
        )
        # as the notes say: their hooks would wait for a service that is gone
        kubectl("delete", "pods", "--all", "-n", release.servers, "--force", "--grace-period=0")
        spaces = [release.servers, release.jobs, release.agents, name]
        kubectl("delete", "namespace", *spaces, "--ignore-not-found", "--timeout=120s")
        if told:
            forget(release, values["registry"]["nodes"]["certsDir"])


def forget(release: Release, certificates: str) -> None:
    """Remove what the node was told, as an operator does after uninstalling."""
    run("rm", "-rf", f"{certificates}/{release.registry}")
    mark = f"# atoll {release.namespace}/{release.namespace}"
    run("sh", "-c", f'left=$(grep -vF "{mark}" /etc/hosts) && echo "$left" > /etc/hosts')


def test_every_part_answers_where_the_others_look(release: Release) -> None:
    said = run(helm(), "test", release.namespace, "--namespace", release.namespace)
    assert "Phase:          Succeeded" in said


def test_what_is_saved_there_is_started_from_there(release: Release) -> None:
    ada = release.user("ada")
    ada.start()
    ada.sh("echo kept > /opt/environment/kept")
    ada.stop()
    saved = ada.settled()
    assert saved.environment is not None
    ada.start()
    image = ada.pod["spec"]["containers"][0]["image"]
    assert image == f"{release.registry}/atoll/ada@{saved.environment}"
    assert ada.sh("cat /opt/environment/kept") == "kept\n"
    ada.stop()
    ada.settled()


def test_a_job_runs_in_it_with_the_login_that_nodes_have(release: Release) -> None:
    ada = release.user("ada")
    saved = ada.server()
    assert saved.environment is not None
    request = JobRequest(
        notebook=notebook("print(open('/opt/environment/kept').read())"),
        environment=saved.environment,
        resources=Resources(cpu=0.5, memory="500M"),
    )
    with ada.connection() as service:
        asked = service.send(client.submit(request))
        (pod,) = eventually(
            lambda: objects("pods", release.jobs, f"atoll.dev/job={asked.id}"), bool, 60
        )
        done = eventually(
            lambda: service.send(client.job(asked.id)), lambda one: one.status.final, 180
        )
        assert done.status == JobStatus.SUCCEEDED, done
        assert "kept" in service.send(client.output(asked.id)).decode()
    spec = pod["spec"]
    assert spec["containers"][0]["image"] == f"{release.registry}/atoll/ada@{saved.environment}"
    assert spec["imagePullSecrets"]
    assert spec["nodeSelector"] == {"kubernetes.io/arch": machine_architecture()}


def test_without_the_login_no_node_pulls_it(release: Release) -> None:
    """The registry refuses it to a pod that has no pull secret, by its own node's words."""
    saved = release.user("ada").server()
    assert saved.environment is not None
    security = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "thief",
        "image": f"{release.registry}/atoll/ada@{saved.environment}",
        "imagePullPolicy": "Always",  # the node may have it already
        "securityContext": security,
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "thief", "namespace": release.jobs},
        "spec": {"containers": [container], "restartPolicy": "Never"},
    }
    kubectl("create", "-f", "-", given=json.dumps(pod).encode())
    kubectl(
        "wait", "pod/thief", "-n", release.jobs, "--timeout=60s",
        "--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImagePull",
    )  # fmt: skip
    path = "jsonpath={.status.containerStatuses[0].state.waiting.message}"
    said = kubectl("get", "pod", "thief", "-n", release.jobs, "-o", path)
    # with the registry gone its node would try for two minutes, and keep the namespace as long
    kubectl("delete", "pod", "thief", "-n", release.jobs)
    assert "401" in said or "unauthorized" in said.lower() or "403" in said, said


def test_the_installation_goes_on_after_every_part_was_started_anew(release: Release) -> None:
    """Secrets, databases and images are on volumes, not in pods."""
    for part in ("hub", "service", "registry", "proxy"):
        release.kill(part)
    release.kill("agent", release.agents)
    for kind, name in (
        ("statefulset", "registry"), ("deployment", "proxy"), ("deployment", "service"), ("deployment", "hub"),
    ):  # fmt: skip
        kubectl(
            "rollout",
            "status",
            f"{kind}/{release.namespace}-{name}",
            "-n",
            release.namespace,
            "--timeout=120s",
        )
    release.reached()
    ada = release.user("ada")
    ada.start()
    assert ada.sh("cat /opt/environment/kept") == "kept\n"
    ada.stop()
    ada.settled()
