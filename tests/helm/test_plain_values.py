"""Values that go through as they are stand where they belong."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.helm.chart import Object, render


def at(path: str, value: object) -> dict[str, Any]:
    """Values with this one at a dotted path."""
    head, _, rest = path.partition(".")
    return {head: at(rest, value) if rest else value}


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("hub.storage.storageClass", "mine", {"PersistentVolumeClaim/atoll-hub"}),
        ("hub.storage.existingClaim", "mine", {"Deployment/atoll-hub"}),
        ("service.storage.storageClass", "mine", {"PersistentVolumeClaim/atoll-service"}),
        ("service.storage.existingClaim", "mine", {"Deployment/atoll-service"}),
        ("registry.storage.storageClass", "mine", {"StatefulSet/atoll-registry"}),
        ("registry.storage.existingClaim", "mine", {"StatefulSet/atoll-registry"}),
        ("postgres.storage.storageClass", "mine", {"StatefulSet/atoll-postgres"}),
        ("postgres.storage.existingClaim", "mine", {"StatefulSet/atoll-postgres"}),
        ("registry.clusterIp", "10.96.7.7", {"Service/atoll-registry"}),
        ("service.clusterIp", "10.96.7.8", {"Service/atoll-service"}),
        ("proxy.service.loadBalancerSourceRanges", ["10.7.0.0/16"], {"Service/atoll-proxy"}),
        ("registry.nodes.hostsFile", "/etc/hosts.mine", {"DaemonSet/atoll-agent"}),
        (
            "protection.evictionTimeoutS",
            23,
            {"ValidatingWebhookConfiguration/atoll-servers-evictions"},
        ),
    ],
)
def test_a_value_stands_where_it_belongs(path: str, value: object, where: set[str]) -> None:
    """Beside `test_every_value_is_used_by_a_template`, which goes by names alone."""
    few = {"postgres": {"enabled": False}} if path.startswith("hub.") else {}  # SQLite on a volume
    changed = {key(one): one for one in render(few | at(path, value))}
    text = str(value).strip("[]'")
    assert where <= {name for name, one in changed.items() if text in yaml.safe_dump(one)}
    if path.endswith("existingClaim"):
        part = path.partition(".")[0]
        assert f"PersistentVolumeClaim/atoll-{part}" not in changed
        [holder] = where
        assert not changed[holder]["spec"].get("volumeClaimTemplates")


def key(one: Object) -> str:
    return f"{one['kind']}/{one['metadata']['name']}"


def test_names_and_the_interval_of_the_monitor_are_the_operators() -> None:
    found = render({"nameOverride": "lab", "serviceMonitor": {"enabled": True, "interval": "77s"}})
    [monitor] = [one for one in found if one["kind"] == "ServiceMonitor"]
    assert monitor["spec"]["endpoints"][0]["interval"] == "77s"
    assert any("lab" in key(one) for one in found)
