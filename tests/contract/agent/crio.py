"""A CRI-O of the tests' own with its store, driven as a kubelet drives it: by `crictl`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from atoll.agent.runtimes.storage import Storage

from tests.contract.agent.node import make_rootfs, remove_cgroups, unmount_below, until

BASE: Final = "example.invalid/test/base:one"
PROGRAMS: Final = Path(__file__).parents[3] / "build" / "crio"
"""What `tests/install-crio` builds."""
_OWN: Final = 1  # NamespaceMode.CONTAINER of CRI
_HOST: Final = 2  # NODE
_ALONE: Final = {"namespace_options": {"network": _HOST, "pid": _OWN}}
"""With processes apart there is no container for the pod itself, which not every root may favour."""
_CONFIG: Final = """\
[crio]
root = "{top}/root"
runroot = "{top}/run"
storage_driver = "overlay"
log_dir = "{top}/logs"
version_file = "{top}/version"
clean_shutdown_file = "{top}/clean"
[crio.api]
listen = "{top}/s"
stream_port = "0"
[crio.runtime]
conmon_cgroup = "pod"
cgroup_manager = "cgroupfs"
default_runtime = "runc"
namespaces_dir = "{top}/namespaces"
container_exits_dir = "{top}/exits"
container_attach_socket_dir = "{top}/attach"
pinns_path = "{programs}/pinns"
seccomp_profile = "unconfined"
apparmor_profile = "unconfined"
default_capabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "KILL"]
[crio.runtime.runtimes.runc]
runtime_path = "{runc}"
runtime_root = "{top}/runc"
monitor_path = "{conmon}"
[crio.image]
pause_image = "{base}"
pause_command = "/bin/sleep 100000"
signature_policy = "{top}/policy.json"
insecure_registries = ["{registry}"]
[crio.network]
network_dir = "{top}/net"
plugin_dirs = ["/usr/lib/cni"]
"""


class Crio:
    """CRI-O, with the image `BASE` and one pod in the host's network; it may pull from `registry`."""

    def __init__(self, top: Path, registry: str) -> None:
        self.top = top
        self._environment = {**os.environ, "CONTAINER_RUNTIME_ENDPOINT": f"unix://{top}/s"}
        self._pod = {
            "metadata": {"name": "jupyter-ada", "namespace": "atoll", "uid": "9a3c", "attempt": 0},
            "labels": {
                "io.kubernetes.pod.name": "jupyter-ada",
                "io.kubernetes.pod.namespace": "atoll",
                "io.kubernetes.pod.uid": "9a3c",
            },
            "log_directory": str(top / "pod"),
            "linux": {"cgroup_parent": f"/{top.name}", "security_context": _ALONE},
        }
        self._load_base()
        for name, content in {
            "config": _CONFIG.format(
                top=top,
                programs=PROGRAMS,
                base=BASE,
                registry=registry,
                runc=shutil.which("runc"),
                conmon=shutil.which("conmon"),
            ),
            "policy.json": json.dumps({"default": [{"type": "insecureAcceptAnything"}]}),
            "pod.json": json.dumps(self._pod),
        }.items():
            (top / name).write_text(content)
        log = top / "log"
        command = [PROGRAMS / "crio", "--config", top / "config", "--config-dir", top / "none"]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True
            )
        self.sandbox = ""
        try:
            until(self._answers, f"CRI-O starts: {log}", 30)
            self.sandbox = self.call("runp", str(top / "pod.json"))
        except BaseException:
            self.close()
            raise

    def _load_base(self) -> None:
        """By podman, whose store is the same."""
        make_rootfs(self.top / "rootfs")
        archive = self.top / "rootfs.tar"
        subprocess.run(["tar", "-C", self.top / "rootfs", "-cf", archive, "."], check=True)
        places = ("--root", self.top / "root", "--runroot", self.top / "run")
        command = ("podman", *places, "--storage-driver", "overlay")
        command += ("import", "--change", "ENV ORIGIN=base", archive, BASE)
        subprocess.run(command, check=True, capture_output=True)

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self.top / "log").read_text()[-4000:]
        command = (PROGRAMS / "crictl", "version")
        return not subprocess.run(
            command, env=self._environment, capture_output=True, check=False
        ).returncode

    def call(self, *arguments: str) -> str:
        """What crictl says."""
        done = subprocess.run(
            (PROGRAMS / "crictl", *arguments),
            env=self._environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stderr.decode())
        return done.stdout.decode().strip()

    def start(
        self,
        script: str,
        name: str = "notebook",
        *,
        image: str = BASE,
        wait: bool = False,
        **more: object,
    ) -> str:
        """Starts `sh -c script` in a container of the pod; its id. With `wait`, until it has ended."""
        labels = {**self._pod["labels"], "io.kubernetes.container.name": name}  # type: ignore[dict-item]
        container = {
            "metadata": {"name": name, "attempt": 0},
            "image": {"image": image},
            "command": ["/bin/sh", "-c", script],
            "labels": labels,
            "annotations": {"io.kubernetes.container.restartCount": "0"},
            "log_path": f"{name}.log",
            "linux": {"security_context": _ALONE},
            **more,
        }
        place = self.top / f"{name}.json"
        place.write_text(json.dumps(container))
        identity = self.call("create", self.sandbox, str(place), str(self.top / "pod.json"))
        self.call("start", identity)
        if wait:
            until(lambda: self.state(identity) == "CONTAINER_EXITED", f"{name} ends", 20)
        return identity

    def state(self, identity: str) -> str:
        """CONTAINER_RUNNING, CONTAINER_EXITED …"""
        return str(json.loads(self.call("inspect", identity))["status"]["state"])

    def printed(self, name: str) -> str:
        """What a container printed, without what CRI notes of each line: `TIME stdout F text`."""
        lines = (self.top / "pod" / f"{name}.log").read_text().splitlines()
        return "\n".join(line.split(" ", 3)[3] for line in lines)

    def runtime(self) -> Storage:
        """The agent's view of it."""
        return Storage(self.top / "root")

    def close(self) -> None:
        """Ends the pod and CRI-O."""
        if self.sandbox:
            self.call("stopp", self.sandbox)
            self.call("rmp", "--force", self.sandbox)
        self._process.terminate()
        self._process.wait(20)


@contextmanager
def running_crio(registry: str) -> Iterator[Crio]:
    """CRI-O in directories that are nobody else's."""
    assert (PROGRAMS / "crio").exists(), "tests/install-crio builds CRI-O"
    top = Path(tempfile.mkdtemp(prefix="atoll-o-", dir="/tmp"))
    for name in ("net", "pod", "none"):
        (top / name).mkdir()
    try:
        crio = Crio(top, registry)
        try:
            yield crio
        finally:
            crio.close()
    finally:
        unmount_below(top)
        remove_cgroups(f"/{top.name}")
        shutil.rmtree(top)
