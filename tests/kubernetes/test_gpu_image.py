"""The user image for GPUs, built here on a base without CUDA: the same server, and what NVIDIA's runtime asks for."""

from __future__ import annotations

import pytest

from tests.kubernetes.user_image import Pod, own_namespace

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(400)]


def test_its_server_starts_with_the_same_environment_and_nvidias_variables() -> None:
    with own_namespace() as namespace:
        pod = Pod(namespace, "ada", image="singleuser-gpu")
        assert pod.sh("echo $NVIDIA_VISIBLE_DEVICES $NVIDIA_DRIVER_CAPABILITIES") == (
            "all compute,utility\n"
        )
        assert pod.python("import pandas; print(pandas.Series([1, 2]).sum())") == "3\n"
        assert "atoll" in pod.asked("lab/api/extensions")
