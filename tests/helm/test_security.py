"""What pods may do: PodSecurity `restricted`, least rights, and secrets where they belong."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import pytest

from tests.helm.chart import Object, containers, find, pods, render, variables

ALL_ON: Final[dict[str, Any]] = {
    "serviceMonitor": {"enabled": True},
    "ingress": {"enabled": True, "host": "atoll.example", "tlsSecret": "tls"},
    "proxy": {"tlsSecret": "tls"},
    "podSecurity": {"seLinuxOptions": {"level": "s0:c123,c456"}},
}
VOLUMES: Final = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip


def unrestricted(spec: Object) -> list[str]:
    """What PodSecurity `restricted` would refuse of a pod."""
    found = [field for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    pod = spec.get("securityContext", {})
    for volume in spec.get("volumes", []):
        found += [f"volume {kind}" for kind in set(volume) - {"name"} - VOLUMES]
    for container in containers(spec):
        own = container.get("securityContext", {})
        name = container["name"]
        if own.get("privileged"):
            found.append(f"{name}: privileged")
        if own.get("allowPrivilegeEscalation") is not False:
            found.append(f"{name}: allowPrivilegeEscalation")
        capabilities = own.get("capabilities", {})
        if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {
            "NET_BIND_SERVICE"
        }:
            found.append(f"{name}: capabilities")
        if not (own.get("runAsNonRoot") or pod.get("runAsNonRoot")):
            found.append(f"{name}: runAsNonRoot")
        if own.get("runAsUser", pod.get("runAsUser")) == 0:
            found.append(f"{name}: runAsUser 0")
        profile = own.get("seccompProfile", pod.get("seccompProfile", {}))
        if profile.get("type") not in ("RuntimeDefault", "Localhost"):
            found.append(f"{name}: seccompProfile")
        found += [f"{name}: hostPort" for port in container.get("ports", []) if "hostPort" in port]
    return found


@pytest.mark.parametrize("values", [{}, ALL_ON], ids=["default", "all"])
def test_every_pod_is_restricted_but_the_agents(values: dict[str, Any]) -> None:
    found = {part: unrestricted(spec) for part, _, _, spec in pods(render(values))}
    assert found.pop("agent"), "it reads containers' layers"
    assert {"hub", "proxy", "service", "registry", "postgres", "pre-puller", "test"} == set(found)
    assert not any(found.values()), found


def test_every_root_is_read_only_and_no_pod_knows_of_the_others_by_variables() -> None:
    for part, _, _, spec in pods(render()):
        assert spec["enableServiceLinks"] is False, part
        for container in containers(spec):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, part


def test_agents_are_alone_in_their_namespace() -> None:
    assert [part for part, namespace, _, _ in pods(render()) if namespace == "atoll-agents"] == [
        "agent"
    ]


def test_every_container_has_a_request_and_a_memory_limit() -> None:
    for part, _, _, spec in pods(render()):
        for container in spec["containers"]:
            assert container["resources"]["requests"]["cpu"], part
            assert container["resources"]["limits"]["memory"], part


def rules(objects: list[Object], account: str) -> dict[tuple[str, str, str], set[str]]:
    """Verbs by namespace (`*` for the cluster), API group and resource."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for binding in objects:
        if binding["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        if account not in [one["name"] for one in binding["subjects"]]:
            continue
        namespace = binding["metadata"].get("namespace")
        role = find(objects, binding["roleRef"]["kind"], binding["roleRef"]["name"], namespace)
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    key = (namespace or "*", group, resource)
                    found.setdefault(key, set()).update(rule["verbs"])
    return found


def test_the_hub_may_start_servers_and_nothing_else() -> None:
    assert rules(render(), "atoll-hub") == {
        ("atoll-servers", "", "pods"): {"get", "list", "watch", "create", "patch", "delete"},
        ("atoll-servers", "", "pods/log"): {"get"},
        ("atoll-servers", "", "persistentvolumeclaims"): {
            "get",
            "list",
            "watch",
            "create",
            "delete",
        },
        ("atoll-servers", "", "events"): {"get", "list", "watch"},
    }


GPU: Final = {"resource": "nvidia.com/gpu"}
SIZES: Final = {"big": {"title": "Big", "cpu": 1, "memory": "1G", "gpu": GPU}}


@pytest.mark.parametrize("more", [{"gpu": GPU}, {"sizes": SIZES}], ids=["profile", "size"])
def test_the_hub_counts_gpus_where_a_profile_has_some(more: dict[str, Any]) -> None:
    profiles = {"other": {"title": "Other"}, "gpu": {"title": "GPU", **more}}
    values = {"settings": {"hub": {"profiles": profiles}}}
    found = rules(render(values), "atoll-hub")
    assert found.pop(("*", "", "nodes")) == {"list"}
    assert found.pop(("*", "", "pods")) == {"list"}
    assert found == rules(render(), "atoll-hub")
    without = {**values, "hub": {"countGpus": False}}
    assert rules(render(without), "atoll-hub") == found


def test_the_service_may_look_after_servers_and_run_jobs() -> None:
    assert rules(render(), "atoll-service") == {
        ("atoll-servers", "", "pods"): {"get", "list", "watch", "patch", "delete"},
        ("atoll-servers", "", "persistentvolumeclaims"): {"list"},
        ("atoll-servers", "", "events"): {"list"},
        ("atoll-jobs", "", "pods"): {"get", "list", "watch", "create", "delete"},
        ("atoll-jobs", "", "pods/log"): {"get"},
        ("atoll-jobs", "", "secrets"): {"list", "create", "delete"},
        ("atoll-jobs", "", "events"): {"list"},
        ("atoll-jobs", "kueue.x-k8s.io", "workloads"): {"list"},
        ("*", "", "nodes"): {"get", "list", "watch"},
        ("*", "authentication.k8s.io", "tokenreviews"): {"create"},
    }


def test_nobody_else_has_rights_or_a_token() -> None:
    objects = render()
    assert rules(objects, "atoll-agent") == {}
    with_token = {
        part
        for part, _, _, spec in pods(objects)
        if spec.get("automountServiceAccountToken") is not False
    }
    assert with_token == {"hub", "service"}
    assert "*" not in json.dumps([one["rules"] for one in objects if one["kind"].endswith("Role")])


def test_more_rules_for_the_hub_are_in_the_servers_namespace() -> None:
    more = {"apiGroups": [""], "resources": ["services"], "verbs": ["create"]}
    objects = render({"hub": {"extraRules": [more]}})
    assert rules(objects, "atoll-hub")["atoll-servers", "", "services"] == {"create"}


def secret_values(objects: list[Object]) -> list[str]:
    values = [
        base64.b64decode(value).decode()
        for one in objects
        if one["kind"] == "Secret" and one["metadata"]["name"] in ("atoll", "atoll-tls")
        for name, value in one["data"].items()
        if name not in ("ca.crt", "names", "registry-token.crt", "service.crt", "registry.crt")
    ]
    assert len(values) > 10
    return values


def test_no_secret_is_outside_of_secrets() -> None:
    objects = render(
        {
            "postgres": {"enabled": False},
            "database": {"url": "postgresql+psycopg://u:s3cr3t-password@db/a"},
        }
    )
    values = [*secret_values(objects), "s3cr3t-password"]
    text = json.dumps([one for one in objects if one["kind"] != "Secret"])
    for value in values:
        assert value not in text
        assert base64.b64encode(value.encode()).decode() not in text


def test_nothing_secret_is_in_the_namespaces_of_users_but_what_nodes_pull_with() -> None:
    objects = render()
    own = [
        one
        for one in objects
        if one["metadata"].get("namespace") in ("atoll-servers", "atoll-jobs")
        and one["kind"] in ("Secret", "ConfigMap", "ServiceAccount")
    ]
    assert {(one["kind"], one["metadata"]["name"], one.get("type")) for one in own} == {
        ("Secret", "atoll-pull", "kubernetes.io/dockerconfigjson")
    }


def held_by(spec: Object) -> set[str]:
    """The keys of the platform's Secret that a pod mounts or has as variables."""
    volumes = spec.get("volumes", [])
    projected = [
        one for volume in volumes for one in volume.get("projected", {}).get("sources", [])
    ]
    secrets = [one["secret"] for one in [*volumes, *projected] if "secret" in one]
    keys = {
        item["key"]
        for secret in secrets
        if "atoll" in (secret.get("secretName"), secret.get("name"))
        for item in secret["items"]
    }
    for container in containers(spec):
        for value in variables({"env": container.get("env", [])}).values():
            if isinstance(value, dict) and "secretKeyRef" in value:
                keys.add(value["secretKeyRef"]["key"])
    return keys


def test_each_program_holds_the_secrets_that_it_uses() -> None:
    held = {part: held_by(spec) for part, _, _, spec in pods(render())}
    assert held == {
        "hub": {
            "service-token", "hub-token", "culler-token", "cookie-secret", "proxy-token",
            "password", "admin-password", "postgres-password",
        },
        "service": {
            "service-token", "job-tokens", "hold-tokens", "registry-token", "registry-token.crt",
            "registry-puller", "postgres-password",
        },
        "proxy": {"proxy-token"},
        "registry": {"registry-token.crt", "registry-http"},
        "postgres": {"postgres-password"},
        "agent": set(),
        "pre-puller": set(),
        "test": set(),
    }  # fmt: skip


def test_selinux_options_are_on_every_pod() -> None:
    for part, _, _, spec in pods(render(ALL_ON)):
        assert spec["securityContext"]["seLinuxOptions"] == {"level": "s0:c123,c456"}, part
