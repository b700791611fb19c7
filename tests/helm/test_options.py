"""Each option does what its description says: parts that are left out, brought along, or elsewhere."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import yaml
from atoll.apps.settings import ServiceSettings
from atoll.datasets.settings import DatasetSettings
from atoll.kit.settings import load

from hub_config.settings import HubSettings
from tests.helm.chart import Object, containers, find, kinds, pods, render, variables


def spec_of(objects: list[Object], part: str) -> Object:
    return next(spec for name, _, _, spec in pods(objects) if name == part)


def env_of(objects: list[Object], part: str) -> dict[str, Any]:
    return variables(spec_of(objects, part)["containers"][0])


def toml(objects: list[Object]) -> dict[str, Any]:
    text = find(objects, "ConfigMap", "atoll-settings")["data"]["atoll.toml"]
    return tomllib.loads(text)


def test_hub_and_service_read_what_the_chart_writes(tmp_path: Any) -> None:
    """The very settings: file and variables, through the code that reads them in the pods."""
    settings = {
        "hub": {"profiles": {"gpu": {"title": "GPU", "gpu": {"count": 1}, "save_every_s": 600}}},
        "checkpoints": {"save_every_s": 3600},
        "jobs": {"places": 9},
    }
    objects = render({"settings": settings, "publicUrl": "https://atoll.example/"})
    file = tmp_path / "atoll.toml"
    file.write_text(find(objects, "ConfigMap", "atoll-settings")["data"]["atoll.toml"], "utf-8")
    plain = {
        part: {name: str(value) for name, value in env_of(objects, part).items()}
        for part in ("hub", "service")
    }
    hub = load(HubSettings, file, plain["hub"])
    assert hub.hub.spawner == "kubernetes"
    assert hub.hub.public_url == "https://atoll.example/"
    assert hub.hub.connect_url == "http://atoll-hub.atoll:8081"
    assert hub.hub.cull_after_s == 3600
    assert hub.hub.administrators == ["admin"]
    assert hub.hub.profiles["gpu"].gpu is not None
    assert hub.hub.profiles["gpu"].saved_every_s == 600
    assert hub.kubernetes.enabled
    assert hub.kubernetes.servers_namespace == "atoll-servers"
    service = load(ServiceSettings, file, plain["service"])
    assert service.jobs.places == 9
    assert service.checkpoints.save_every_s == 3600
    assert service.jobs.runner == "kubernetes"
    assert service.service.url == "https://atoll.example/services/atoll/"
    assert service.nodes.service_account == "atoll-agents:atoll-agent"
    assert service.registry.issuer == "atoll"
    assert service.registry.address == "atoll-registry.atoll.svc.cluster.local:5000"
    assert service.kubernetes == hub.kubernetes.model_copy(
        update={
            "admission_port": 8443,
            "admission_certificate": "/srv/tls/service.crt",
            "admission_key": "/srv/tls/service.key",
        }
    )


@pytest.mark.parametrize(
    ("values", "gone"),
    [
        ({"hub": {"enabled": False}}, {"Deployment/atoll-hub", "Service/atoll-hub", "ServiceAccount/atoll-hub"}),
        (
            {"proxy": {"enabled": False, "apiUrl": "http://proxy.example:8001"}},
            {"Deployment/atoll-proxy", "Service/atoll-proxy", "Service/atoll-proxy-api"},
        ),
        ({"service": {"enabled": False}}, {"Deployment/atoll-service", "ClusterRole/atoll-atoll-nodes"}),
        (
            {"agents": {"enabled": False}, "registry": {"pullAddress": "registry.example"}},
            {"DaemonSet/atoll-agent", "ServiceAccount/atoll-agent"},
        ),
        (
            {"registry": {"enabled": False, "address": "registry.example"}},
            {"StatefulSet/atoll-registry", "Service/atoll-registry", "NetworkPolicy/atoll-registry"},
        ),
        ({"postgres": {"enabled": False}}, {"StatefulSet/atoll-postgres", "NetworkPolicy/atoll-postgres"}),
        ({"prePuller": {"enabled": False}}, {"DaemonSet/atoll-pre-puller"}),
        (
            {"protection": {"enabled": False}},
            {
                "ValidatingAdmissionPolicy/atoll-servers-keep-unsaved",
                "ValidatingWebhookConfiguration/atoll-servers-evictions",
                "PodDisruptionBudget/atoll-servers",
            },
        ),
        ({"namespaces": {"create": False}}, {"Namespace/atoll-servers", "Namespace/atoll-agents"}),
    ],
    ids=lambda one: next(iter(one)) if isinstance(one, dict) else "",
)  # fmt: skip
def test_a_part_can_be_left_out(values: dict[str, Any], gone: set[str]) -> None:
    assert gone <= kinds(render())
    assert not gone & kinds(render(values))


def test_the_smallest_installation_is_on_sqlite_and_keeps_it_on_volumes() -> None:
    objects = render({"postgres": {"enabled": False}})
    for part in ("hub", "service"):
        env = env_of(objects, part)
        assert not {name for name in env if name.endswith("__DATABASE")}
        claim = {"claimName": f"atoll-{part}"}
        assert {"name": "home", "persistentVolumeClaim": claim} in spec_of(objects, part)["volumes"]
    assert "PersistentVolumeClaim/atoll-hub" in kinds(objects)


def test_hub_and_service_have_a_database_each_in_the_charts_postgres() -> None:
    objects = render()
    for part, variable, name in (("hub", "HUB", "hub"), ("service", "SERVICE", "atoll")):
        url = env_of(objects, part)[f"ATOLL_{variable}__DATABASE"]
        assert (
            url
            == f"postgresql+psycopg://atoll:$(POSTGRES_PASSWORD)@atoll-postgres.atoll:5432/{name}"
        )
    assert find(objects, "ConfigMap", "atoll-postgres")["data"] == {
        "hub.sql": "CREATE DATABASE hub;"
    }
    assert env_of(objects, "postgres")["POSTGRES_DB"] == "atoll"


def test_a_database_elsewhere_is_named_by_a_value_or_a_secret() -> None:
    off = {"enabled": False}
    by_value = render({"postgres": off, "database": {"url": "postgresql+psycopg://u:p@db/a"}})
    assert env_of(by_value, "service")["ATOLL_SERVICE__DATABASE"] == {
        "secretKeyRef": {"name": "atoll", "key": "database-url"}
    }
    secret = {"name": "db", "key": "uri"}
    by_secret = render({"postgres": off, "database": {"existingSecret": secret}})
    assert env_of(by_secret, "service")["ATOLL_SERVICE__DATABASE"] == {"secretKeyRef": secret}


def test_the_registry_believes_the_platform_and_nobody_else() -> None:
    objects = render()
    config = yaml.safe_load(find(objects, "Secret", "atoll-registry")["stringData"]["config.yml"])
    assert config["auth"]["token"] == {
        "realm": "http://atoll-service.atoll.svc.cluster.local:8010/services/atoll/registry/token",
        "service": "registry",
        "issuer": "atoll",
        "rootcertbundle": "/srv/tls/tokens.crt",
    }
    assert config["http"]["tls"] == {"certificate": "/srv/tls/tls.crt", "key": "/srv/tls/tls.key"}
    assert config["storage"]["delete"] == {"enabled": True}


def test_the_registry_can_keep_images_in_a_bucket() -> None:
    s3 = {"s3": {"bucket": "atoll", "region": "eu"}, "delete": {"enabled": True}}
    objects = render({"registry": {"config": {"storage": s3}}})
    config = yaml.safe_load(find(objects, "Secret", "atoll-registry")["stringData"]["config.yml"])
    assert config["storage"] == s3
    assert "volumeClaimTemplates" not in find(objects, "StatefulSet", "atoll-registry")["spec"]


def test_nodes_are_told_where_the_registry_is_where_no_name_is_given() -> None:
    assert [one["name"] for one in containers(spec_of(render(), "agent"))] == [
        "trust",
        "node",
        "agent",
    ]
    named = render(
        {"registry": {"pullAddress": "images.example"}, "publicUrl": "https://atoll.example/"}
    )
    assert [one["name"] for one in containers(spec_of(named, "agent"))] == ["trust", "agent"]
    env = env_of(named, "service")
    assert env["ATOLL_REGISTRY__PULL_ADDRESS"] == "images.example"
    assert env["ATOLL_REGISTRY__ADDRESS"] == "atoll-registry.atoll.svc.cluster.local:5000"
    config = yaml.safe_load(find(named, "Secret", "atoll-registry")["stringData"]["config.yml"])
    assert config["auth"]["token"]["realm"] == "https://atoll.example/services/atoll/registry/token"


def test_a_registry_elsewhere_with_and_without_our_tokens() -> None:
    own = {"enabled": False, "address": "registry.example:5000", "plainHttp": True}
    objects = render({"registry": {**own, "issuedTokens": False}})
    env = env_of(objects, "service")
    assert env["ATOLL_REGISTRY__ADDRESS"] == "registry.example:5000"
    assert env["ATOLL_REGISTRY__PLAIN_HTTP"] == "true"
    assert "ATOLL_REGISTRY__ISSUER" not in env
    assert env["ATOLL_KUBERNETES__PULL_SECRET"] == ""
    assert "Secret/atoll-pull" not in kinds(objects)
    issuing = env_of(render({"registry": own}), "service")
    assert issuing["ATOLL_REGISTRY__ISSUER"] == "atoll"
    assert issuing["ATOLL_KUBERNETES__PULL_SECRET"] == "atoll-pull"


def test_an_ingress_makes_the_public_address() -> None:
    ingress = {"enabled": True, "host": "atoll.example", "className": "nginx", "tlsSecret": "tls"}
    objects = render({"ingress": ingress})
    spec = find(objects, "Ingress", "atoll-proxy")["spec"]
    assert spec["ingressClassName"] == "nginx"
    assert spec["tls"] == [{"secretName": "tls", "hosts": ["atoll.example"]}]
    assert spec["rules"][0]["host"] == "atoll.example"
    assert env_of(objects, "hub")["ATOLL_HUB__PUBLIC_URL"] == "https://atoll.example/"


def test_the_proxy_speaks_https_with_a_certificate() -> None:
    objects = render(
        {"proxy": {"tlsSecret": "tls", "service": {"type": "LoadBalancer", "port": 443}}}
    )
    command = spec_of(objects, "proxy")["containers"][0]["command"]
    assert "--ssl-cert=/srv/tls/tls.crt" in command
    assert find(objects, "Service", "atoll-proxy")["spec"]["type"] == "LoadBalancer"
    assert env_of(objects, "hub")["ATOLL_HUB__PUBLIC_URL"] == "https://atoll-proxy.atoll/"


def test_images_are_pulled_in_advance_each_once() -> None:
    profiles = {
        "gpu": {"title": "GPU", "image": "example/gpu:1"},
        "many": {
            "title": "Many",
            "images": {
                "a": {"title": "A", "image": "example/a:1"},
                "b": {"title": "B", "image": "example/gpu:1"},
            },
        },
    }
    values = {
        "settings": {"hub": {"profiles": profiles}},
        "prePuller": {"images": ["example/more:1"]},
    }
    pulled = [one["image"] for one in spec_of(render(values), "pre-puller")["containers"]]
    own = "registry.example/atoll/singleuser:0.1.0"
    hold = "registry.example/atoll/hold:0.1.0"
    assert pulled == [own, "example/gpu:1", "example/a:1", "example/more:1", hold]


def test_idle_servers_are_stopped_unless_the_culler_is_off() -> None:
    assert toml(render())["hub"]["cull_after_s"] == 3600
    assert toml(render({"culler": {"afterS": 600}}))["hub"]["cull_after_s"] == 600
    assert toml(render({"culler": {"enabled": False}}))["hub"]["cull_after_s"] == 0


def test_datasets_that_a_new_installation_offers_reach_the_service() -> None:
    orders = {"path": "/data/orders", "description": 'Orders "since" 2019: é\n# none'}
    salaries = {
        "path": "/data/hr/salaries.csv",
        "options": {"delimiter": ";", "header": False},
        "grants": ["group:/hr/pay roll"],
    }
    offered = {"orders": orders, "hr.salaries": salaries}
    objects = render({"settings": {"datasets": {"roots": ["/data"], "offered": offered}}})
    read = DatasetSettings.model_validate(toml(objects)["datasets"]).offered
    assert {name: one.model_dump(exclude_unset=True) for name, one in read.items()} == {
        "orders": orders,
        "hr.salaries": {**salaries, "grants": ("group:/hr/pay roll",)},
    }


def test_an_nfs_export_becomes_a_claim_in_both_namespaces() -> None:
    export = {"server": "files.example", "path": "/homes"}
    homes = {"kind": "nfs", "claim": "homes"}
    objects = render(
        {"storage": {"nfs": {"homes": export}}, "settings": {"hub": {"storage": homes}}}
    )
    for namespace in ("atoll-servers", "atoll-jobs"):
        claim = find(objects, "PersistentVolumeClaim", "homes", namespace)
        volume = find(objects, "PersistentVolume", claim["spec"]["volumeName"])
        assert volume["spec"]["nfs"] == {**export, "readOnly": False}
        assert volume["spec"]["claimRef"] == {"namespace": namespace, "name": "homes"}
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        assert volume["spec"]["mountOptions"] == ["nfsvers=4.1", "noatime", "hard"]
        assert claim["spec"]["storageClassName"] == volume["spec"]["storageClassName"] == ""
    assert toml(objects)["hub"]["storage"] == homes


def test_shares_of_an_export_are_in_jobs_too_for_their_claim_is() -> None:
    shares = {
        "course": {"groups": ["students"]},
        "data": {"claim": "data", "mount": "/data"},
        "mine": {"claim": "data", "jobs_claim": ""},
        "block": {"claim": "of-servers"},
        "other": {"claim": "of-servers", "jobs_claim": "of-jobs"},
    }
    storage = {"kind": "nfs", "claim": "homes", "shares": shares}
    exports = {name: {"server": "files.example", "path": f"/{name}"} for name in ("homes", "data")}
    found = toml(render({"storage": {"nfs": exports}, "settings": {"hub": {"storage": storage}}}))
    assert {
        name: one.get("jobs_claim") for name, one in found["hub"]["storage"]["shares"].items()
    } == {
        "course": "homes",
        "data": "data",
        "mine": "",
        "block": None,
        "other": "of-jobs",
    }


def test_images_come_from_where_the_operator_says() -> None:
    objects = render(
        {"images": {"prefix": "localhost:5000/atoll", "tag": "dev", "pullSecrets": ["login"]}}
    )
    found = {part: spec["containers"][0]["image"] for part, _, _, spec in pods(objects)}
    assert found["hub"] == found["proxy"] == "localhost:5000/atoll/hub:dev"
    assert found["service"] == "localhost:5000/atoll/service:dev"
    assert found["agent"] == "localhost:5000/atoll/agent:dev"
    assert env_of(objects, "hub")["ATOLL_KUBERNETES__HOLD_IMAGE"] == "localhost:5000/atoll/hold:dev"
    assert toml(objects)["hub"]["image"] == "localhost:5000/atoll/singleuser:dev"
    for part, _, _, spec in pods(objects):
        assert spec["imagePullSecrets"] == [{"name": "login"}], part
    mine = render({"hub": {"image": "example/hub@sha256:1"}})
    assert spec_of(mine, "hub")["containers"][0]["image"] == "example/hub@sha256:1"


@pytest.mark.parametrize("part", ["hub", "proxy", "service", "registry", "postgres"])
def test_pods_go_where_the_operator_wants_them(part: str) -> None:
    where = {
        "nodeSelector": {"pool": "core"},
        "tolerations": [{"key": "core", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "core",
    }
    more = {"podLabels": {"team": "ml"}, "podAnnotations": {"a": "b"}}
    objects = render({part: {**where, **more, "resources": {"limits": {"memory": "7Gi"}}}})
    spec = spec_of(objects, part)
    assert {name: spec[name] for name in where} == where
    meta = next(meta for name, _, meta, _ in pods(objects) if name == part)
    assert meta["labels"]["team"] == "ml"
    assert meta["annotations"]["a"] == "b"
    assert spec["containers"][0]["resources"]["limits"]["memory"] == "7Gi"


@pytest.mark.parametrize("part", ["hub", "proxy", "service", "agents"])
def test_programs_take_more_variables_and_volumes(part: str) -> None:
    values = {
        "extraEnv": [{"name": "MORE", "value": "1"}],
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    }
    objects = render({part: values})
    spec = spec_of(objects, part.removesuffix("s"))
    container = spec["containers"][0]
    assert values["extraEnv"][0] in container["env"]
    assert values["extraVolumes"][0] in spec["volumes"]
    assert values["extraVolumeMounts"][0] in container["volumeMounts"]


def test_a_change_of_settings_starts_the_programs_anew() -> None:
    def checksum(values: dict[str, Any]) -> str:
        metas = {part: meta for part, _, meta, _ in pods(render(values))}
        return str(metas["hub"]["annotations"]["checksum/settings"])

    assert checksum({}) == checksum({"prePuller": {"enabled": False}})
    assert checksum({}) != checksum({"settings": {"hub": {"named_servers": 3}}})


def test_several_replicas_of_the_service_roll_one_by_one() -> None:
    shared = {"replicas": 2, "storage": {"accessModes": ["ReadWriteMany"]}}
    deployment = find(render({"service": shared}), "Deployment", "atoll-service")["spec"]
    assert deployment["replicas"] == 2
    assert "strategy" not in deployment


def test_containerd_may_be_elsewhere_on_the_nodes() -> None:
    places = {
        "containerdSocket": "/run/k3s/containerd/containerd.sock",
        "containerdState": "/run/k3s/containerd",
        "containerdRoot": "/var/lib/rancher/k3s/agent/containerd",
    }
    spec = spec_of(render({"agents": places}), "agent")
    agent = spec["containers"][0]
    assert agent["command"][4:6] == ["--address", places["containerdSocket"]]
    mounted = {one["mountPath"] for one in agent["volumeMounts"]}
    assert {places["containerdState"], places["containerdRoot"], "/run/atoll-agent"} <= mounted
    types = {
        one["hostPath"]["path"]: one["hostPath"]["type"]
        for one in spec["volumes"]
        if "hostPath" in one
    }
    assert types[places["containerdRoot"]] == "Directory", "a wrong path is seen, not made"
    assert types["/run/atoll-agent"] == "DirectoryOrCreate"


def test_prometheus_finds_the_service() -> None:
    values = {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}
    monitor = find(render(values), "ServiceMonitor", "atoll-service")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["endpoints"][0]["path"] == "/services/atoll/metrics"
