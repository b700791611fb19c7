"""A server of the user image in a pod under PodSecurity `restricted`, with a stand-in for the hub beside it."""

from __future__ import annotations

import json
import secrets
import shlex
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from tests.kubernetes.driver import kubectl
from tests.kubernetes.where import IMAGES, TAG
from tests.platform.driver import eventually

USER = 1000
HUB = """
import http.server, json
class Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"version": "6.1.1", "kind": "user", "name": "ada", "groups": [], "admin": False,
                           "scopes": ["access:servers!server=ada/"]}).encode()
        self.send_response(200)
        self.send_header("X-JupyterHub-Version", "6.1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
http.server.ThreadingHTTPServer(("127.0.0.1", 8081), Hub).serve_forever()
"""
FILL = "mkdir /home/jovyan/mine; cat /dev/zero >/home/jovyan/mine/large 2>/dev/null; true"
SETTINGS = {
    "JUPYTERHUB_API_TOKEN": "made-up",
    "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/hub/api",
    "JUPYTERHUB_BASE_URL": "/",
    "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-ada",
    "JUPYTERHUB_OAUTH_ACCESS_SCOPES": '["access:servers!server=ada/"]',
    "JUPYTERHUB_OAUTH_CALLBACK_URL": "/user/ada/oauth_callback",
    "JUPYTERHUB_SERVICE_PREFIX": "/user/ada/",
    "JUPYTERHUB_SERVICE_URL": "http://0.0.0.0:8888/user/ada/",
    "JUPYTERHUB_USER": "ada",
}


@contextmanager
def own_namespace() -> Iterator[str]:
    """A namespace for such pods."""
    name = f"user-image-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def container(image: str, name: str, **more: object) -> dict[str, object]:
    return {
        "name": name,
        "image": f"{IMAGES}/{image}:{TAG}",
        "env": [{"name": key, "value": value} for key, value in SETTINGS.items()],
        "volumeMounts": [{"name": "home", "mountPath": "/home/jovyan"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        **more,
    }


class Pod:
    """A server in a pod, with a stand-in for the hub beside it."""

    def __init__(
        self, namespace: str, name: str, *, full: bool = False, image: str = "singleuser"
    ) -> None:
        self.at = ("-n", namespace, name)
        home = {"medium": "Memory", "sizeLimit": "2Mi"} if full else {}
        command = ["sh", "-c", FILL if full else "true"]
        spec = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": 100,
                "fsGroup": 100,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumes": [{"name": "home", "emptyDir": home}],
            "initContainers": [container(image, "before", command=command)],
            "containers": [
                container(image, "notebook", args=["/opt/atoll/bin/jupyterhub-singleuser"]),
                container(image, "hub", command=["/opt/atoll/bin/python", "-c", HUB]),
            ],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        kubectl("create", "-n", namespace, "-f", "-", given=json.dumps(pod).encode())
        eventually(self.answers, bool, 180)

    def sh(self, script: str, given: bytes | None = None, check: bool = True) -> str:
        """What a script prints that runs as an exec into the server's container."""
        inside = ("-i", "-c", "notebook", "--", "bash", "-c", script)
        return kubectl("exec", *self.at, *inside, given=given, check=check)

    def python(self, script: str) -> str:
        """What Python code prints, on the environment's Python."""
        return self.sh(f"python -c {shlex.quote(textwrap.dedent(script))}")

    def answers(self, port: int = 8888) -> bool:
        address = f"http://127.0.0.1:{port}/user/ada/api"
        script = f"import urllib.request as r; print(r.urlopen({address!r}).read().decode())"
        return "version" in self.sh(f'/opt/atoll/bin/python -Pc "{script}"', check=False)

    def asked(self, path: str) -> str:
        """What the server answers to whom the hub knows."""
        script = (
            "import urllib.request as r;"
            f"q = r.Request('http://127.0.0.1:8888/user/ada/{path}',"
            " headers={'Authorization': 'token x'}); print(r.urlopen(q).read().decode())"
        )
        return self.sh(f'/opt/atoll/bin/python -Pc "{script}"')

    def log(self) -> str:
        return kubectl("logs", *self.at, "-c", "notebook")

    def files(self, folder: str) -> set[str]:
        return set(self.sh(f"cd {folder} && find . -mindepth 1 -maxdepth 3").split("\n"))
