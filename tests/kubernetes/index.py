"""A package index beside the platform, which servers and jobs reach: pypiserver, see `images/index`."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.kubernetes.driver import Platform, kubectl
from tests.kubernetes.where import FOR_TESTS, TAG

INDEX: Final = "test-index"
"""Its Service; `values.yaml` tells jobs and a profile of it."""
_IMAGE: Final = f"{FOR_TESTS}/index:{TAG}"
_PORT: Final = 8000


def offer(platform: Platform, wheels: Sequence[Path] = ()) -> list[str]:
    """Serve these wheels beside those that it has; the options with which pip finds them."""
    # one that is there would see other wheels only a minute later
    gone = ("--ignore-not-found", "--grace-period=1")
    kubectl("delete", "pod", INDEX, "-n", platform.namespace, *gone)
    for thing in _things(wheels):
        thing["metadata"] = {"name": INDEX, "labels": {"app": INDEX}}
        document = json.dumps({"apiVersion": "v1", **thing}).encode()
        kubectl("apply", "-n", platform.namespace, "-f", "-", given=document)
    ready = ("--for=condition=Ready", "--timeout=120s")
    kubectl("wait", f"pod/{INDEX}", "-n", platform.namespace, *ready)
    host = f"{INDEX}.{platform.namespace}.svc.cluster.local"
    return ["--index-url", f"http://{host}:{_PORT}/simple/", "--trusted-host", host]


def _things(wheels: Sequence[Path]) -> list[dict[str, Any]]:
    content = {one.name: base64.b64encode(one.read_bytes()).decode() for one in wheels}
    container = {
        "name": "index",
        "image": _IMAGE,
        "volumeMounts": [{"name": "wheels", "mountPath": "/srv/index"}],
        "readinessProbe": {"httpGet": {"path": "/simple/", "port": _PORT}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "wheels", "configMap": {"name": INDEX}}],
    }
    ports = [{"name": "http", "port": _PORT}]
    return [
        {"kind": "ConfigMap", "binaryData": content},
        {"kind": "Pod", "spec": spec},
        {"kind": "Service", "spec": {"selector": {"app": INDEX}, "ports": ports}},
    ]
