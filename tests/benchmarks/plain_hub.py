"""JupyterHub with KubeSpawner as they come, on this host: the peer of the platform on a cluster.

The same version, proxy, image, size, home and kind of user as ours; nothing of the platform around it.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from atoll.apps.proxy_install import command as proxy_command

from tests.kubernetes.driver import kubectl
from tests.kubernetes.hub_on_host import Guest
from tests.platform.driver import choose_port, eventually

_PASSWORD = "bench"
_HOME = "/home/jovyan"


@dataclass
class PlainHub:
    """What a user needs of it. Passes for the platform of `tests.platform.driver`."""

    url: str
    namespace: str
    browsers: list[httpx.Client] = field(default_factory=list)

    def user(self, name: str) -> Guest:
        """Somebody who has just logged in."""
        guest = Guest(self, name)  # type: ignore[arg-type]  # it has what users use
        assert guest.log_in(_PASSWORD).is_redirect
        return guest


def _config(image: str, namespace: str, ports: list[int], more: Mapping[str, Any]) -> str:
    port, api, proxy_api = ports
    ip = os.environ["KUBE_NODE_IP"]
    home = {"name": "home", "emptyDir": {}}
    values: dict[str, Any] = {
        "JupyterHub.bind_url": f"http://127.0.0.1:{port}",
        "JupyterHub.hub_bind_url": f"http://{ip}:{api}",
        "JupyterHub.hub_connect_url": f"http://{ip}:{api}",
        "ConfigurableHTTPProxy.api_url": f"http://127.0.0.1:{proxy_api}",
        "ConfigurableHTTPProxy.command": proxy_command(),
        "JupyterHub.authenticator_class": "dummy",
        "DummyAuthenticator.password": _PASSWORD,
        "Authenticator.allow_all": True,
        "JupyterHub.spawner_class": "kubespawner.KubeSpawner",
        # a start is answered at once, so that both are followed on their progress pages
        "JupyterHub.tornado_settings": {"slow_spawn_timeout": 0},
        "Spawner.default_url": "/lab",
        "KubeSpawner.namespace": namespace,
        "KubeSpawner.image": image,
        "KubeSpawner.cmd": ["/opt/atoll/bin/jupyterhub-singleuser"],
        "KubeSpawner.environment": {"HOME": _HOME},
        "KubeSpawner.volumes": [home],
        "KubeSpawner.volume_mounts": [{"name": "home", "mountPath": _HOME}],
        "KubeSpawner.uid": 1000,
        "KubeSpawner.gid": 100,
        "KubeSpawner.fs_gid": 100,
        **{f"KubeSpawner.{name}": value for name, value in more.items()},
    }
    return "".join(f"c.{name} = {value!r}\n" for name, value in values.items())


@contextmanager
def plain_hub(folder: Path, image: str, options: Mapping[str, Any]) -> Iterator[PlainHub]:
    """The hub, with these options of KubeSpawner, and a namespace which is gone afterwards."""
    folder.mkdir()
    namespace = f"plain-{secrets.token_hex(3)}"
    ports = [choose_port() for _ in range(3)]
    (folder / "jupyterhub_config.py").write_text(_config(image, namespace, ports, options))
    hub = PlainHub(f"http://127.0.0.1:{ports[0]}/", namespace)
    kubectl("create", "namespace", namespace)
    with (folder / "hub.log").open("wb") as log:
        command = [sys.executable, "-P", "-m", "jupyterhub"]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        eventually(lambda: _answers(hub.url), bool)
        yield hub
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        for browser in hub.browsers:
            browser.close()
        kubectl("delete", "namespace", namespace, "--wait=false")


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}hub/api/", trust_env=False).is_success
    except httpx.HTTPError:
        return False
