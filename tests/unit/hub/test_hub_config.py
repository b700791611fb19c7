"""The hub's configuration: on one machine as ever, in a cluster by the cluster's addresses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from atoll.kit.home import Home
from atoll.kit.settings import SettingsError, load
from traitlets.config import Config

import hub_config
from hub_config import culling
from hub_config.settings import HubSettings

CLUSTER = """
[hub]
spawner = "kubernetes"
image = "example.org/singleuser:1"
host = "0.0.0.0"
connect_url = "http://atoll-hub.atoll:8081"
proxy_api_url = "http://atoll-proxy-api:8001"
database = "postgresql+psycopg://hub@db/hub"
public_url = "https://hub.example.org/"
admins = ["root"]

[hub.storage]
kind = "dynamic"
storage_class = "fast"

[hub.profiles.cpu]
title = "CPU"
idle_s = 600

[kubernetes]
service_url = "http://atoll-service.atoll:8010/services/atoll/"
hold_image = "example.org/hold:1"
servers_namespace = "servers"
grace_s = 300

[registry]
prefix = "kept"
"""


def _configured(path: Path, text: str) -> Any:
    home = Home(path)
    home.settings.write_text(text)
    config = Config()
    hub_config.configure(config, home)
    return config


def test_in_a_cluster_everything_is_where_the_settings_say(tmp_path: Path) -> None:
    c = _configured(tmp_path, CLUSTER)
    assert c.JupyterHub.spawner_class == "atoll.hub.kubernetes.AtollKubeSpawner"
    assert Path(c.JupyterHub.logo_file).is_file()
    assert c.JupyterHub.proxy_class == "atoll.hub.proxy.RemindedProxy"
    assert c.JupyterHub.hub_bind_url == "http://0.0.0.0:8081"
    assert c.JupyterHub.hub_connect_url == "http://atoll-hub.atoll:8081"
    assert c.JupyterHub.db_url == "postgresql+psycopg://hub@db/hub"
    assert c.JupyterHub.cleanup_servers is False
    assert c.ConfigurableHTTPProxy.api_url == "http://atoll-proxy-api:8001"
    services = {one["name"]: one for one in c.JupyterHub.services}
    assert services["atoll"]["url"] == "http://atoll-service.atoll:8010"
    assert "atoll-up" not in services
    assert services["idle-culler"]["command"][-2:] == ["--timeout=600", "--cull-every=150"]
    assert "way_in" not in c.EmbeddedAuthenticator
    spawner = c.AtollKubeSpawner
    assert spawner.namespace == "servers"
    assert spawner.kept_prefix == "kept"
    assert spawner.grace_s == 300
    assert spawner.storage_class == "fast"
    assert spawner.storage_pvc_ensure is True
    assert spawner.remember_pvc_name is True
    assert spawner.pvc_name_template == "claim-{username}"
    assert spawner.delete_pvc is False
    assert c.SavingMixin.service_token == Home(tmp_path).secret("hub-token")


def test_an_operator_has_the_last_word(tmp_path: Path) -> None:
    extra = tmp_path / "extra.py"
    extra.write_text("c.AtollKubeSpawner.modify_pod_hook = lambda spawner, pod: pod\n")
    options = 'priority_class_name = "low"\nk8s_api_request_timeout = 9\n'
    text = CLUSTER.replace("[hub]", f'[hub]\nextra_config = "{extra}"', 1)
    c = _configured(tmp_path, f"{text}\n[hub.kubespawner]\n{options}")
    assert c.AtollKubeSpawner.priority_class_name == "low"
    assert c.AtollKubeSpawner.k8s_api_request_timeout == 9
    assert callable(c.AtollKubeSpawner.modify_pod_hook)


@pytest.mark.parametrize("content", [None, "c.JupyterHub = ("])
def test_an_operators_file_that_cannot_be_read_is_named(
    tmp_path: Path, content: str | None
) -> None:
    extra = tmp_path / "extra.py"
    if content is not None:
        extra.write_text(content)
    with pytest.raises(SettingsError, match=r"hub\.extra_config"):
        _configured(tmp_path, f'[hub]\nextra_config = "{extra}"\n')


def test_on_one_machine_the_hub_is_as_ever(tmp_path: Path) -> None:
    c = _configured(tmp_path, "")
    assert c.JupyterHub.spawner_class.__name__ == "LocalSpawner"
    assert c.JupyterHub.hub_bind_url == "http://127.0.0.1:8081"
    assert "hub_connect_url" not in c.JupyterHub
    assert {one["name"] for one in c.JupyterHub.services} == {"atoll", "atoll-hub", "atoll-up"}
    assert c.EmbeddedAuthenticator.way_in.endswith("way-in")


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ('image = "example.org/singleuser:1"', "hub.profiles.cpu.image (or hub.image)"),
        ('connect_url = "http://atoll-hub.atoll:8081"', "hub.connect_url"),
        (
            'service_url = "http://atoll-service.atoll:8010/services/atoll/"',
            "kubernetes.service_url",
        ),
    ],
)
def test_what_a_cluster_needs_and_is_not_set_is_named(
    tmp_path: Path, left_out: str, said: str
) -> None:
    assert left_out in CLUSTER
    with pytest.raises(SettingsError) as error:
        _configured(tmp_path, CLUSTER.replace(left_out, ""))
    assert said in str(error.value)


@pytest.mark.parametrize("where", ["hub", "hub.profiles.cpu"])
def test_namespaces_of_users_are_refused_for_pods_are_watched_in_one(
    tmp_path: Path, where: str
) -> None:
    option = f"[{where}.kubespawner]\nenable_user_namespaces"
    with pytest.raises(SettingsError) as error:
        _configured(tmp_path, f"{CLUSTER}\n{option} = true\n")
    assert f"{where}.kubespawner.enable_user_namespaces cannot be set" in str(error.value)
    assert "one namespace" in str(error.value)
    assert "kubernetes.servers_namespace" in str(error.value)
    _configured(tmp_path, f"{CLUSTER}\n{option} = false\n")


def test_the_culler_runs_where_any_profile_is_ever_idle(tmp_path: Path) -> None:
    (tmp_path / "atoll.toml").write_text(CLUSTER)
    settings = load(HubSettings, tmp_path / "atoll.toml", {}).hub
    assert culling.shortest_s(settings) == 600
    never = settings.model_copy(update={"profiles": {}})
    assert not culling.wanted(never)
