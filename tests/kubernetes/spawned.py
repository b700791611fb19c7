"""What the spawner's tests start: profiles, most of which cannot be, and what these need in the cluster."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
from atoll.oci.image import MANIFEST
from atoll.oci.registry import DOCKER_MANIFEST

from tests.kubernetes.hub_on_host import IMAGE
from tests.kubernetes.where import FOR_TESTS, PYTHON, REGISTRY

GATE = "kueue.x-k8s.io/admission"
OTHER = f"{REGISTRY}/atoll-test/other-machines:dev"
"""An image of which there is none for this cluster's nodes."""
SETTINGS: dict[str, Any] = {
    "hub": {
        "profiles": {
            "small": {"title": "Small", "cpu": 0.2, "memory": "128M", "cpu_guarantee": 0.01},
            "choices": {
                "title": "Choices",
                "images": {
                    "a": {"title": "A", "image": IMAGE},
                    "gone": {"title": "Gone", "image": f"{FOR_TESTS}/there-is-none:1"},
                },
                "own_images": rf"{re.escape(REGISTRY)}/.*",
                "cpu_guarantee": 0.01,
                "cpu": 0.1,
            },
            "nowhere": {"title": "Nowhere", "cpu": 500},
            "gpu": {"title": "GPU", "gpu": {"count": 1}, "cpu_guarantee": 0.01, "cpu": 0.1},
            "ends": {"title": "Ends", "variables": {"FAIL": "end"}},
            "hungry": {"title": "Hungry", "memory": "64M", "variables": {"FAIL": "memory"}},
            "deaf": {"title": "Deaf", "variables": {"FAIL": "deaf"}},
            "foreign": {"title": "Foreign", "kubespawner": {"cmd": ["/opt/foreign"]}},
            "other": {"title": "Other", "image": OTHER},
            "bare": {"title": "Bare", "image": PYTHON},
            "gated": {
                "title": "Gated",
                "cpu_guarantee": 0.01,
                "cpu": 0.1,
                "kubespawner": {"extra_pod_config": {"schedulingGates": [{"name": GATE}]}},
            },
            "unbound": {
                "title": "Unbound",
                "volumes": {"none": {"claim": "there-is-none", "mount": "/data"}},
            },
            "waits": {
                "title": "Waits",
                "volumes": {"waits": {"claim": "waits", "mount": "/data"}},
            },
        }
    }
}

NEVER_BOUND = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "waits"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "there-is-none",
        "resources": {"requests": {"storage": "16Mi"}},
    },
}


def push_for_other_machines() -> None:
    """The image of the servers, listed as one for s390x."""
    kind = "application/vnd.oci.image.index.v1+json"
    taken = f"{MANIFEST}, {DOCKER_MANIFEST}"
    with httpx.Client(base_url=f"http://{REGISTRY}/v2/atoll-test/", trust_env=False) as http:
        manifest = http.get("spawned/manifests/dev", headers={"Accept": taken})
        media_type = manifest.headers["Content-Type"]
        for blob in (manifest.json()["config"], *manifest.json()["layers"]):
            mount = {"mount": blob["digest"], "from": "atoll-test/spawned"}
            assert http.post("other-machines/blobs/uploads/", params=mount).status_code == 201
        listed = {
            "mediaType": media_type,
            "digest": manifest.headers["Docker-Content-Digest"],
            "size": len(manifest.content),
            "platform": {"architecture": "s390x", "os": "linux"},
        }
        index = {"schemaVersion": 2, "mediaType": kind, "manifests": [listed]}
        for name, content, type_ in (
            (listed["digest"], manifest.content, media_type),
            ("dev", json.dumps(index).encode(), kind),
        ):
            path = f"other-machines/manifests/{name}"
            http.put(path, content=content, headers={"Content-Type": type_}).raise_for_status()
