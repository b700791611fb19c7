"""The chart as helm renders it, as plain objects."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "helm" / "atoll"
NAMESPACE: Final = "atoll"
KUBERNETES: Final = "1.34"

Object = dict[str, Any]


class RefusedError(Exception):
    """helm said no; the text is what it said."""


def helm() -> str:
    """The helm that `tests/install-helm` found or built."""
    own = ROOT / ".venv" / "bin" / "helm"
    found = os.environ.get("HELM") or (str(own) if own.exists() else shutil.which("helm"))
    assert found, "tests/install-helm has not run"
    return found


def render(values: Mapping[str, Any] | None = None, *, release: str = "atoll") -> list[Object]:
    """All objects, the hooks too; raises RefusedError where helm refuses the values."""
    return yaml.safe_load(_rendered(json.dumps(values or {}), release))  # type: ignore[no-any-return]


@cache
def _rendered(values: str, release: str) -> str:
    done = subprocess.run(
        [
            helm(), "template", release, str(CHART), "--namespace", NAMESPACE,
            "--kube-version", KUBERNETES, "--values", "-",
        ],
        input=values, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    if done.returncode:
        raise RefusedError(done.stderr)
    # one document again: each rendering is parsed anew, so that no test sees another's changes
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    documents = [one for one in yaml.load_all(done.stdout, loader) if one]
    return json.dumps(documents)


def find(objects: list[Object], kind: str, name: str, namespace: str | None = None) -> Object:
    """The one object of this kind and name."""
    found = [
        one
        for one in objects
        if one["kind"] == kind
        and one["metadata"]["name"] == name
        and namespace in (None, one["metadata"].get("namespace"))
    ]
    assert len(found) == 1, f"{len(found)} objects {kind}/{name}"
    return found[0]


def kinds(objects: list[Object]) -> set[str]:
    """`Kind/name` of each."""
    return {f"{one['kind']}/{one['metadata']['name']}" for one in objects}


def pods(objects: list[Object]) -> Iterator[tuple[str, str, Object, Object]]:
    """Each pod that comes of them: its part, namespace, metadata and spec."""
    for one in objects:
        template = one if one["kind"] == "Pod" else one.get("spec", {}).get("template")
        if isinstance(template, dict) and "containers" in template.get("spec", {}):
            part = template["metadata"]["labels"]["app.kubernetes.io/component"]
            yield part, one["metadata"]["namespace"], template["metadata"], template["spec"]


def containers(spec: Object) -> list[Object]:
    """All containers of a pod."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def variables(container: Object) -> dict[str, Any]:
    """Environment variables: values, or where they come from."""
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}
