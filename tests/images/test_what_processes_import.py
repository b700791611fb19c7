"""Each image has what its processes import: tried with all other packages of this environment hidden."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from uv import find_uv_bin

ROOT = Path(__file__).parents[2]
PROCESSES = {
    ("hub", "hub-kubernetes"): [
        "hub_config", "hub_config.spawners", "atoll.hub.kubernetes", "atoll.hub.local",
        "jupyterhub.app", "jupyterhub_idle_culler",
    ],
    ("service", "service-kubernetes"): [
        "atoll.apps.service", "atoll.apps.openapi", "atoll.datasets.probe", "psycopg",
    ],
    ("agent",): ["atoll.apps.agent", "atoll.agent.process", "atoll.agent.saving"],
    ("lab",): [
        "atoll.apps.image_server", "atoll.apps.image_environment", "atoll.apps.cli",
        "atoll.server.extension", "atoll.server.trust", "atoll.jobs.remote", "atoll.jobs.execute",
        "atoll.jobs.engine", "jupyterhub.singleuser", "jupyterlab",
    ],
}  # fmt: skip
HIDING = """
import importlib, sys
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions
from re import sub

shown, modules = (set(argument.split(",")) for argument in sys.argv[1:])
shown.add("atoll")
owners = packages_distributions()
finders = list(sys.meta_path)

class Hiding:
    find_distributions = PathFinder.find_distributions

    @staticmethod
    def find_spec(name, path=None, target=None):
        of = {sub("[-_.]+", "-", owner).lower() for owner in owners.get(name.partition(".")[0], [])}
        if of and not of & shown:
            return None
        found = (finder.find_spec(name, path, target) for finder in finders)
        return next((spec for spec in found if spec is not None), None)

sys.meta_path[:] = [Hiding]
for module in sorted(modules):
    importlib.import_module(module)
"""


@pytest.mark.parametrize("extras", PROCESSES, ids=lambda extras: extras[0])
def test_an_image_has_all_that_its_processes_import(extras: tuple[str, ...]) -> None:
    listed = subprocess.run(
        [sys.executable, str(ROOT / "images/requirements.py"), *extras],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    resolved = subprocess.run(
        [find_uv_bin(), "pip", "compile", "--quiet", "--no-header", "--no-annotate",
         "--constraint", str(ROOT / "constraints.txt"), "-"],
        input=listed, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    shown = re.findall(r"^([a-z0-9-]+)==", resolved, re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-P", "-c", HIDING, ",".join(shown), ",".join(PROCESSES[extras])],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
