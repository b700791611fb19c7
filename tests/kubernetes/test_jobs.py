"""Jobs as pods of a real cluster: the service runs on this host, which pods reach at its bridge."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from atoll.jobs import client
from atoll.jobs.models import Job, JobRequest, JobStatus, Notebook, Resources
from atoll.jobs.settings import JobSettings
from atoll.kit.home import Home

from tests.kubernetes import simulated
from tests.kubernetes.cut import Cut
from tests.kubernetes.driver import kubectl
from tests.kubernetes.where import PYTHON, REGISTRY, SINGLEUSER
from tests.service.jobs.platform import Atoll, eventually, notebook, printed
from tests.service.jobs.service_under_test import SHARED
from tests.service.jobs.test_kills import Platform

pytestmark = pytest.mark.on_node

SETTINGS = JobSettings(
    runner="kubernetes", image=SINGLEUSER, places=4, cpu=0.1, cpu_most=10_000, memory="1G", grace_s=5,
    pull_within_s=5, gpu_most=8,
)  # fmt: skip
GATE = "/tmp/gate"
WAITS = f"import os, time\nwhile not os.path.exists({GATE!r}): time.sleep(0.05)"
LONG_S = 180.0  # one machine, and others use it


@pytest.fixture(scope="module")
def namespace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    name = f"jobs-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    make_claim(name, SHARED.shares["models"].jobs_claim, tmp_path_factory.mktemp("models"))
    yield name
    kubectl("delete", "namespace", name, "--wait=false")
    kubectl("delete", "persistentvolume", name, "--wait=false")


def make_claim(namespace: str, name: str, place: Path) -> None:
    """The claim of what the users' groups share: a directory of the node's."""
    size = {"storage": "1Mi"}
    common = {"storageClassName": "", "accessModes": ["ReadWriteMany"]}
    directory = {
        "capacity": size,
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"name": name, "namespace": namespace},
        "hostPath": {"path": str(place), "type": "DirectoryOrCreate"},
    }
    claim = {"volumeName": namespace, "resources": {"requests": size}}
    made = [
        ("PersistentVolume", {"name": namespace}, directory),
        ("PersistentVolumeClaim", {"name": name, "namespace": namespace}, claim),
    ]
    for kind, metadata, spec in made:
        thing = {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": common | spec}
        kubectl("create", "-f", "-", given=json.dumps(thing).encode())
    bound = ("--for=jsonpath={.status.phase}=Bound", "--timeout=60s")
    kubectl("wait", f"persistentvolumeclaim/{name}", "-n", namespace, *bound)


@contextmanager
def service(namespace: str, folder: Path, settings: JobSettings) -> Iterator[tuple[Platform, Cut]]:
    """The service as a process of this host; the way to the API server can be cut."""
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    cluster = config["clusters"][0]["cluster"]
    host, _, port = cluster["server"].removeprefix("https://").partition(":")
    cut = Cut(host, int(port), host)
    cluster["server"] = f"https://{host}:{cut.port}"
    home = Home(folder / "home")
    home.path.mkdir()
    (home.path / "kubeconfig").write_text(json.dumps(config))
    ip = os.environ.get("KUBE_NODE_IP", "10.244.0.1")
    platform = Platform(home, settings, {"TEST_HOST": ip, "TEST_NAMESPACE": namespace})
    try:
        platform.start()
        yield platform, cut
    finally:
        platform.close()
        cut.close()


@pytest.fixture(scope="module")
def running(
    namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Platform, Cut]]:
    with service(namespace, tmp_path_factory.mktemp("jobs"), SETTINGS) as found:
        yield found


@pytest.fixture
def atoll(running: tuple[Platform, Cut]) -> Atoll:
    return running[0].spoken[-1]


@pytest.fixture
def kube(namespace: str) -> Kube:
    return Kube(namespace)


class Kube:
    """kubectl in the namespace of jobs."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def __call__(self, *words: str) -> str:
        """What kubectl prints."""
        return str(kubectl("-n", self.namespace, *words))

    def pod(self, job: Job) -> dict[str, Any]:
        """The job's pod; empty where there is none."""
        found = self("get", "pod", job.id, "--ignore-not-found", "-o", "json")
        return dict(json.loads(found)) if found.strip() else {}

    def open_gate(self, job: Job) -> None:
        """Let the cell that waits go on."""
        self("exec", job.id, "--", "touch", GATE)

    def nothing_is_left(self, job: Job) -> None:
        """Neither pod nor secret."""
        what = ("get", "pods,secrets", "-l", f"atoll.dev/job={job.id}", "-o", "name")
        eventually(lambda: self(*what), lambda found: not found.strip(), LONG_S)


def submit(atoll: Atoll, document: Notebook, **resources: Any) -> Job:
    request = JobRequest(
        notebook=document, environment="base", resources=Resources.model_validate(resources)
    )
    return atoll.send(client.submit(request))


def final(atoll: Atoll, job: Job) -> Job:
    return atoll.final(job, LONG_S)


def in_cell(atoll: Atoll, job: Job, cell: int) -> Job:
    return atoll.until(job, lambda found: found.step.cell == cell or found.status.final, LONG_S)


def test_a_notebook_runs_as_a_pod_and_all_it_says_is_kept(atoll: Atoll, kube: Kube) -> None:
    who = "import os, sys\nprint('uid', os.getuid(), 'in', sys.prefix)"
    read = (
        "from atoll.jobs import client\nfrom atoll.kit.http import Connection\n"
        "own = Connection(os.environ['ATOLL_URL'] + 'api/v1/', os.environ['ATOLL_TOKEN'])\n"
        "print('jobs:', len(own.send(client.jobs()).items))"
    )
    job = submit(atoll, notebook(who, WAITS, read, "print('the end')"))
    assert in_cell(atoll, job, 2).status == JobStatus.RUNNING, atoll.log(job)
    assert kube.pod(job)["spec"]["containers"][0]["image"] == SINGLEUSER
    kube.open_gate(job)
    done = final(atoll, job)

    assert done.status == JobStatus.SUCCEEDED, (done, atoll.log(done))
    assert (done.step.cell, done.step.cells) == (4, 4)
    text = printed(atoll.output(done))
    assert "uid 1000 in /opt/environment" in text
    assert "jobs: 1" in text
    assert "cell 4 of 4" in atoll.log(done)
    kube.nothing_is_left(job)


def test_what_its_users_groups_share_is_there_and_cannot_be_written(atoll: Atoll) -> None:
    look = (
        "import os\nplace = '/srv/shared/models'\nassert os.path.ismount(place)\n"
        "print('read-only:', bool(os.statvfs(place).f_flag & os.ST_RDONLY))"
    )
    done = final(atoll, submit(atoll, notebook(look)))

    assert done.status == JobStatus.SUCCEEDED, (done, atoll.log(done))
    assert "read-only: True" in printed(atoll.output(done))


def test_a_job_is_stopped(atoll: Atoll, kube: Kube) -> None:
    job = submit(atoll, notebook("print('kept')", WAITS))
    in_cell(atoll, job, 2)

    atoll.send(client.stop(job.id))
    done = final(atoll, job)

    assert (done.status, done.reason) == (JobStatus.STOPPED, "stopped"), done
    assert "kept" in printed(atoll.output(done))
    kube.nothing_is_left(job)


def test_a_job_that_uses_too_much_memory_is_told_so(atoll: Atoll) -> None:
    job = submit(atoll, notebook("print('kept')", "x = bytearray(3 << 30)"), memory="400M")
    done = final(atoll, job)

    assert (done.status, done.reason) == (JobStatus.FAILED, "oom_killed"), (done, atoll.log(done))
    assert "more than its memory limit of 400M in cell 2" in str(done.message)


def test_a_job_that_fits_no_node_says_so_in_the_schedulers_words(atoll: Atoll, kube: Kube) -> None:
    job = submit(atoll, notebook("1"), cpu=5000)
    told = atoll.until(job, lambda found: found.reason == "unschedulable", LONG_S)

    assert told.status == JobStatus.STARTING
    assert "Insufficient cpu" in str(told.message)
    first = kube.pod(job)["metadata"]["uid"]
    kube("delete", "pod", job.id)
    eventually(lambda: kube.pod(job), lambda pod: pod and pod["metadata"]["uid"] != first, LONG_S)
    atoll.send(client.stop(job.id))
    assert final(atoll, job).status == JobStatus.STOPPED
    kube.nothing_is_left(job)


def test_a_job_with_gpus_runs_where_there_are_some_and_else_says_what_is_lacking(
    atoll: Atoll, kube: Kube
) -> None:
    node = json.loads(kubectl("get", "nodes", "-l", "type!=kwok", "-o", "json"))["items"][0]
    with simulated.gpus(2, node["metadata"]["name"]):
        job = submit(atoll, notebook(WAITS), gpu=1)
        assert in_cell(atoll, job, 1).status == JobStatus.RUNNING, atoll.log(job)
        many = submit(atoll, notebook("1"), gpu=2)  # not before: it would take both
        limits = kube.pod(job)["spec"]["containers"][0]["resources"]["limits"]
        assert limits["nvidia.com/gpu"] == "1"
        told = atoll.until(many, lambda found: found.reason == "unschedulable", LONG_S)
        assert "Insufficient nvidia.com/gpu" in str(told.message)
        kube.open_gate(job)
        assert final(atoll, job).status == JobStatus.SUCCEEDED
        done = final(atoll, many)  # the other one's GPU is free again
        assert done.status == JobStatus.SUCCEEDED, done
    kube.nothing_is_left(many)


def test_a_job_that_takes_longer_than_it_may_is_ended_and_told_so(atoll: Atoll, kube: Kube) -> None:
    request = JobRequest(
        notebook=notebook("print('kept')", "import time\ntime.sleep(600)"),
        environment="base",
        timeout_s=60,
    )
    job = atoll.send(client.submit(request))
    done = final(atoll, job)

    assert (done.status, done.reason) == (JobStatus.FAILED, "time_limit"), (done, atoll.log(done))
    assert "time limit of 1 minute in cell 2" in str(done.message)
    assert "kept" in printed(atoll.output(done))
    kube.nothing_is_left(job)


def test_a_pod_that_somebody_deletes_is_not_run_again(atoll: Atoll, kube: Kube) -> None:
    job = submit(atoll, notebook("print('kept')", WAITS))
    in_cell(atoll, job, 2)

    kube("delete", "pod", job.id, "--wait=false")
    done = final(atoll, job)

    assert (done.status, done.reason) == (JobStatus.FAILED, "deleted"), done
    assert "in cell 2" in str(done.message)
    assert "kept" in printed(atoll.output(done))
    kube.nothing_is_left(job)


def test_a_pod_that_is_evicted_says_by_whom(atoll: Atoll, kube: Kube) -> None:
    job = submit(atoll, notebook(WAITS))
    in_cell(atoll, job, 1)
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": job.id, "namespace": kube.namespace},
    }
    path = f"/api/v1/namespaces/{kube.namespace}/pods/{job.id}/eviction"
    command = ["kubectl", "create", "--raw", path, "-f", "-"]
    subprocess.run(command, input=json.dumps(eviction), text=True, check=True)
    done = final(atoll, job)

    assert (done.status, done.reason) == (JobStatus.FAILED, "evicted"), done
    assert "Eviction API" in str(done.message)


def test_the_service_is_killed_in_the_middle_and_nothing_is_lost(
    running: tuple[Platform, Cut], kube: Kube
) -> None:
    platform, _ = running
    atoll = platform.spoken[-1]
    talk = "for n in range(200): print('line', n)"
    job = submit(atoll, notebook(WAITS, talk))
    in_cell(atoll, job, 1)
    platform.kill()
    kube.open_gate(job)
    # its notebook ends while nobody listens
    eventually(
        lambda: kube("exec", job.id, "--", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"),
        lambda found: "atoll.jobs.execute" not in found,
        LONG_S,
    )
    atoll = platform.start()
    done = final(atoll, job)

    assert done.status == JobStatus.SUCCEEDED, (done, atoll.log(done))
    lines = [line for line in atoll.log(done).splitlines() if line.startswith("line ")]
    assert lines == [f"line {n}" for n in range(200)]


def test_the_api_server_is_away_for_a_while_and_jobs_end_all_the_same(
    running: tuple[Platform, Cut], kube: Kube
) -> None:
    platform, cut = running
    atoll = platform.spoken[-1]
    job = submit(atoll, notebook(WAITS))
    in_cell(atoll, job, 1)
    cut.sever()
    waits = submit(atoll, notebook("print('later')"))
    kube.open_gate(job)

    done = final(atoll, job)
    assert done.status == JobStatus.SUCCEEDED, done
    told = atoll.until(waits, lambda found: found.reason == "unavailable", LONG_S)
    assert "Kubernetes does not answer" in str(told.message)
    cut.heal()
    later = final(atoll, waits)
    assert later.status == JobStatus.SUCCEEDED, later
    kube.nothing_is_left(job)


def test_a_job_that_fills_its_nodes_disk_is_evicted_and_told_why(
    namespace: str, tmp_path: Path
) -> None:
    limited = SETTINGS.model_copy(update={"disk": "50M"})
    fills = "import time\nopen('/tmp/large', 'wb').write(b'x' * (200 << 20))\ntime.sleep(600)"
    with service(namespace, tmp_path, limited) as (platform, _):
        atoll = platform.spoken[-1]
        done = final(atoll, submit(atoll, notebook(fills)))

    assert (done.status, done.reason) == (JobStatus.FAILED, "evicted"), done
    assert "ephemeral" in str(done.message)


@pytest.mark.parametrize(
    ("image", "reason", "words"),
    [
        (f"{REGISTRY}/jobs/there-is-none:1", "image_pull", "cannot be pulled"),
        (PYTHON, "start_failed", "could not be started"),
    ],
)
def test_an_image_that_is_missing_or_no_environment_fails_the_job_and_says_why(
    namespace: str, tmp_path: Path, image: str, reason: str, words: str
) -> None:
    with service(namespace, tmp_path, SETTINGS.model_copy(update={"image": image})) as (one, _):
        atoll = one.spoken[-1]
        done = final(atoll, submit(atoll, notebook("1")))
        log = atoll.log(done)

    assert (done.status, done.reason) == (JobStatus.FAILED, reason), (done, log)
    assert words in str(done.message)
    assert reason == "image_pull" or "/opt/atoll/bin/python" in log
