"""The cluster's spawner without a cluster, and the pods that it makes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import kubespawner.spawner
import pytest
from atoll.checkpoints.models import Digest, Preparation
from atoll.hub.kubernetes import AtollKubeSpawner
from atoll.hub.profiles import Offers, Profile
from atoll.hub.resources import Gpu, ImageChoice, Size, Toleration
from atoll.hub.storage import Volume
from jupyterhub.objects import Hub, Server
from kubernetes_asyncio.client import ApiClient
from traitlets.config import Config

DIGEST = Digest("sha256:" + "a" * 64)
PROFILES = {
    "cpu": Profile(title="Data", cpu=2, memory="4G", sizes={"s": Size(), "l": Size(memory="8G")}),
    "gpu": Profile(
        title="GPU",
        groups=["ml"],
        gpu=Gpu(count=2, runtime_class="nvidia"),
        images={"torch": ImageChoice(title="Torch", image="example.org/torch:3")},
        shared_memory="8G",
        node_selector={"accelerator": "a100"},
        tolerations=[Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")],
        volumes={"models": Volume(claim="models", mount="/models", read_only=True)},
        variables={"A": "1"},
        kubespawner={"priority_class_name": "high"},
    ),
}


class User(Mock):
    """As much of a user as a spawner asks of one."""

    name = "ada@example.org"
    id = 7
    server = Server()

    def __init__(self, *arguments: Any, **more: Any) -> None:
        """With no servers."""
        super().__init__(*arguments, **more)
        self.orm_user = SimpleNamespace(orm_spawners={})

    @property
    def groups(self) -> list[Any]:
        """Her groups."""
        return [SimpleNamespace(name="ml")]

    @property
    def escaped_name(self) -> str:
        """Her name in URLs."""
        return self.name

    @property
    def url(self) -> str:
        """Her servers' URL."""
        return "/user/ada/"


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The client library finds no configuration, and is not asked for any."""
    monkeypatch.setattr(kubespawner.spawner, "load_config", lambda **_: None)
    yield


def spawner(
    options: dict[str, Any] | None = None,
    name: str = "",
    user: User | None = None,
    **values: Any,
) -> AtollKubeSpawner:
    """A spawner with the operator's `values`, for what a user chose; of her other servers `user` knows."""
    configured = {
        "namespace": "servers",
        "image": "example.org/default:1",
        "hold_image": "example.org/hold:1",
        "public_service_url": "http://service:8010/services/atoll/",
        "profiles": Offers(PROFILES),
        **values,
    }
    made = AtollKubeSpawner(
        hub=Hub(),
        user=user or User(),
        api_token="secret",
        oauth_client_id="client",
        config=Config(AtollKubeSpawner=configured),
        orm_spawner=SimpleNamespace(name=name, user_options=None, server=None),
    )
    made.user_options = options or {}
    return made


async def manifest(made: AtollKubeSpawner, **prepared: Any) -> dict[str, Any]:
    """The pod as it is sent to Kubernetes."""
    made._request()
    made.preparation = Preparation(
        start_id="st-1",
        ready=True,
        version=1,
        variables={"ATOLL_SERVER_START": "st-1"},
        hold_token="held",
        **prepared,
    )
    await made.load_user_options()
    pod = await made.get_pod_manifest()
    async with ApiClient() as client:
        found: dict[str, Any] = client.sanitize_for_serialization(pod)
    return found


def env(container: dict[str, Any]) -> dict[str, str]:
    """A container's variables."""
    return {one["name"]: one.get("value", "") for one in container["env"]}
