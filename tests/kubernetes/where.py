"""Where the tests' images are: a registry by the name that the cluster's nodes know it by, and a tag."""

from __future__ import annotations

import os
from pathlib import Path
from string import Template
from typing import Final

REGISTRY: Final = os.environ.get("REGISTRY", "localhost:5000")
TAG: Final = os.environ.get("TAG", "dev")
IMAGES: Final = f"{REGISTRY}/atoll"
"""What `make images` makes."""
SINGLEUSER: Final = f"{IMAGES}/singleuser:{TAG}"
FOR_TESTS: Final = f"{REGISTRY}/atoll-test"
"""What `tests/kubernetes/images/build` makes."""
PYTHON: Final = os.environ.get("PYTHON_IMAGE", f"{REGISTRY}/library/python:3.11-slim")
"""An image without JupyterHub, and without this platform."""
ENVIRONMENTS: Final = f"{REGISTRY}/environments"
"""What servers are saved as, as `values.yaml` says."""


def values(path: Path) -> str:
    """The chart's values for tests, with the registry and the tag put in."""
    return Template(path.read_text("utf-8")).substitute(REGISTRY=REGISTRY, TAG=TAG)
