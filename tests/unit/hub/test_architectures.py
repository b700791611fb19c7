"""The nodes that a saved environment's pod goes to: an image has one architecture."""

from __future__ import annotations

import pytest
from atoll.checkpoints.models import Digest
from atoll.hub.refusal import StartRefused

from tests.unit.hub.test_kubernetes import manifest, no_cluster, spawner

__all__ = ["no_cluster"]  # a fixture for each test here

DIGEST = Digest("sha256:" + "a" * 64)


async def test_an_environment_runs_on_nodes_of_its_architecture_and_of_the_profile() -> None:
    image = f"example.org/atoll/ada@{DIGEST}"
    made = spawner({"profile": "gpu"})
    pod = await manifest(made, image=image, environment=DIGEST, architecture="arm64")
    assert pod["spec"]["nodeSelector"] == {"accelerator": "a100", "kubernetes.io/arch": "arm64"}

    pod = await manifest(made)  # the next try, of the profile's own image, which may have several
    assert pod["spec"]["nodeSelector"] == {"accelerator": "a100"}


async def test_an_environment_of_another_architecture_than_the_profiles_is_refused() -> None:
    made = spawner(node_selector={"kubernetes.io/arch": "amd64"})
    with pytest.raises(StartRefused, match="saved on arm64, and the profile is for amd64"):
        await manifest(made, image=f"x@{DIGEST}", environment=DIGEST, architecture="arm64")
