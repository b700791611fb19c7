"""Jobs in a cluster: from submitting to the first cell, beside `kubectl create` of the same pod.

The peer is the job's own pod, image, size and kernel, without the platform: the notebook is in its
manifest, and nobody is asked or told. Taken in turn; the first cell writes down the time.
"""

from __future__ import annotations

import json
import secrets
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from atoll.jobs import manifests
from atoll.jobs.manifests import Place
from atoll.jobs.models import JobStatus
from atoll.jobs.resources import Size
from atoll.jobs.runners import Work

from tests.kubernetes.driver import kubectl
from tests.kubernetes.test_jobs import (
    LONG_S,
    SETTINGS,
    SHARED,
    final,
    make_claim,
    service,
    submit,
)
from tests.kubernetes.where import SINGLEUSER
from tests.service.jobs.platform import Atoll, eventually, notebook, printed

ALIKE = SETTINGS.model_copy(update={"cpu": 0.5})
RUNS = 7
MOST = 1.3
STAMP = "import time\nprint(repr(time.time()))\nopen('/tmp/stamp', 'w').write(repr(time.time()))"
BARE = """
import json, os, pathlib
from atoll.jobs import execute
from atoll.jobs.directory import JobDirectory, Order
place = JobDirectory(pathlib.Path("/tmp/job"))
order = Order("n", "python3", "python", {}, 600, 5.0, 120.0, "/tmp", 1 << 20, 1 << 20)
place.prepare(order, os.environ["NOTEBOOK"].encode())
os.environ["JUPYTER_RUNTIME_DIR"] = str(place.runtime)
execute.main([str(place.path)])
"""
KEEP = "\nopen('/dev/termination-log', 'w').write(open('/tmp/stamp').read())"


@contextmanager
def _namespace(folder: Path) -> Iterator[str]:
    name = f"jobs-bench-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    make_claim(name, SHARED.shares["models"].jobs_claim, folder)  # jobs mount what is shared
    try:
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")
        kubectl("delete", "persistentvolume", name, "--wait=false")


def _bare(namespace: str) -> float:
    """Seconds to the first cell of a pod made by hand."""
    name = f"j-{secrets.token_hex(11)}"
    work = Work(
        id=name, user="ada", name="n", folder="", notebook=bytes, kernel="python3",
        language="python", parameters={}, environment="", timeout_s=600, variables={},
    )  # fmt: skip
    place = Place(namespace, "bench", "http://127.0.0.1:1/", settings=ALIKE)
    pod: dict[str, Any] = manifests.pod(work, Size(ALIKE.cpu, ALIKE.memory), SINGLEUSER, place)
    [container] = pod["spec"]["containers"]
    container["command"] = [*manifests.COMMAND[:3], "-c", BARE]
    container["env"] = [{"name": "NOTEBOOK", "value": json.dumps(notebook(STAMP + KEEP))}]
    began = time.time()
    command = ["kubectl", "create", "-n", namespace, "-f", "-"]
    subprocess.run(command, input=json.dumps(pod), text=True, check=True, stdout=subprocess.DEVNULL)
    path = "jsonpath={.status.containerStatuses[0].state.terminated.message}"
    said = eventually(
        lambda: kubectl("get", "pod", name, "-n", namespace, "-o", path), bool, LONG_S
    )
    kubectl("delete", "pod", name, "-n", namespace, "--wait=true")
    return float(said) - began


def _job(atoll: Atoll) -> float:
    """Seconds to the first cell of a job."""
    began = time.time()
    done = final(atoll, submit(atoll, notebook(STAMP)))
    assert done.status == JobStatus.SUCCEEDED, (done, atoll.log(done))
    return float(printed(atoll.output(done)).split()[0]) - began


def measure() -> list[dict[str, object]]:
    """The figure, for the cluster that KUBECONFIG names."""
    with (
        tempfile.TemporaryDirectory() as folder,
        _namespace(Path(folder)) as namespace,
        service(namespace, Path(folder), ALIKE) as (platform, _),
    ):
        atoll = platform.spoken[-1]
        _job(atoll)  # the image is pulled
        ours, peer = [], []
        for _ in range(RUNS):
            peer.append(_bare(namespace))
            ours.append(_job(atoll))
    ratio = statistics.median(ours) / statistics.median(peer)
    return [
        {
            "name": "job in a cluster: submitted to first cell",
            "ours": statistics.median(ours),
            "spread": f"({min(ours):.3g}–{max(ours):.3g})",
            "peer": statistics.median(peer),
            "peer_name": f"kubectl create of the pod ({min(peer):.3g}–{max(peer):.3g})",
            "unit": "s",
            "ratio": ratio,
            "goal": f"≤ {MOST:g}×",
            "met": ratio <= MOST,
        }
    ]
