"""Who may talk to whom: every pair of pods and every port, as a table."""

from __future__ import annotations

import runpy
from itertools import product
from typing import Any, Final

import pytest

from tests.helm.chart import ROOT, pods, render
from tests.helm.network import Network, Peer

NODES: Final = "192.168.7.0/24"
SCRIPT: Final = runpy.run_path(str(ROOT / "helm" / "check-network"))
TABLE: Final = SCRIPT["read_table"]((ROOT / "helm" / "network.txt").read_text("utf-8"))
OPEN: Final = TABLE.open | {
    # what is no pod of ours, or no pod
    ("node", "registry", 5000),  # pulls
    ("node", "service", 8010),  # tokens to pull with
    ("node", "service", 8443),  # the API server asks about evictions
    ("hub", "node", 6443),  # the Kubernetes API
    ("service", "node", 6443),
    *product(["hub", "service", "agent", "server", "job"], ["outside"], [443]),
    *product(["outside", "node", "metadata", "private"], ["proxy"], [8000]),
}
"""Everything that is let through; whatever is not here must not be."""

FREE: Final = {"stranger", "test", "node", "outside", "metadata", "private"}
"""No policy is about them; what they do among each other is not ours."""

PORTS: Final = {
    **TABLE.ports,
    "test": [80],
    "node": [6443, 10250, 22],
    "stranger": [80],
    "outside": [443],
    "metadata": [80],
    "private": [443],
}


def peers(objects: list[dict[str, Any]]) -> dict[str, Peer]:
    found = {
        part: Peer(part, f"10.244.1.{number}", namespace, meta["labels"])
        for number, (part, namespace, meta, _) in enumerate(pods(objects), 10)
    }
    found["server"] = Peer("server", "10.244.2.1", "atoll-servers", {"atoll.dev/server": "true"})
    found["job"] = Peer("job", "10.244.2.2", "atoll-jobs", {"atoll.dev/job": "jb-1"})
    found["stranger"] = Peer("stranger", "10.244.3.1", "elsewhere")
    found["node"] = Peer("node", "192.168.7.9")
    found["outside"] = Peer("outside", "203.0.113.7")
    found["metadata"] = Peer("metadata", "169.254.169.254")
    found["private"] = Peer("private", "10.9.8.7")
    return found


def network(objects: list[dict[str, Any]]) -> Network:
    policies = [one for one in objects if one["kind"] == "NetworkPolicy"]
    namespaces = {
        one["metadata"]["name"]: one["metadata"]["labels"]
        for one in objects
        if one["kind"] == "Namespace"
    }
    return Network(policies, {**namespaces, "atoll": {}, "elsewhere": {}})


def let_through(values: dict[str, Any]) -> set[tuple[str, str, int]]:
    objects = render(values)
    rules, all_peers = network(objects), peers(objects)
    return {
        (source, target, port)
        for source, target in product(all_peers, all_peers)
        if source != target and not {source, target} <= FREE
        for port in PORTS[target]
        if rules.allows(all_peers[source], all_peers[target], port)
    }


def test_every_pair_talks_as_the_table_says_and_no_other() -> None:
    passed = let_through({"networkPolicies": {"nodes": [NODES]}})
    assert sorted(passed - OPEN) == [], "let through, and not in the table"
    assert sorted(OPEN - passed) == [], "in the table, and not let through"


@pytest.mark.parametrize("source", ["server", "job"])
@pytest.mark.parametrize(
    ("target", "port"),
    [("metadata", 80), ("registry", 5000), ("postgres", 5432), ("proxy", 8001), ("service", 8443),
     ("agent", 22), ("node", 6443), ("node", 10250), ("private", 443), ("stranger", 80)],
)  # fmt: skip
def test_users_code_never_reaches(source: str, target: str, port: int) -> None:
    """By the default values too, where nodes may be any address."""
    assert (source, target, port) not in let_through({})


def test_servers_do_not_reach_each_other() -> None:
    objects = render()
    other = Peer("other", "10.244.2.9", "atoll-servers", {"atoll.dev/server": "true"})
    server = peers(objects)["server"]
    for port in PORTS["server"]:
        assert not network(objects).allows(server, other, port)


def test_everybody_resolves_names() -> None:
    objects = render()
    dns = Peer("dns", "10.244.9.9", "kube-system")
    for name, peer in peers(objects).items():
        asks = name not in ("postgres", "pre-puller")
        assert network(objects).allows(peer, dns, 53, "UDP") == asks, name


def test_the_internet_can_be_closed_and_one_address_opened() -> None:
    reach = {
        "internet": False,
        "egress": [{"to": [{"ipBlock": {"cidr": "10.9.8.7/32"}}], "ports": [{"port": 443}]}],
    }
    passed = let_through({"networkPolicies": {"servers": reach}})
    assert ("server", "outside", 443) not in passed
    assert ("server", "private", 443) in passed
    assert ("job", "private", 443) not in passed


def test_the_proxy_can_be_closed_to_all_but_named_clients() -> None:
    only = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}}}]
    passed = let_through({"networkPolicies": {"clients": only}})
    assert ("stranger", "proxy", 8000) in passed
    assert ("outside", "proxy", 8000) not in passed
    assert {("server", "proxy", 8000), ("test", "proxy", 8000), ("job", "proxy", 8000)} <= passed


def test_without_policies_there_are_none() -> None:
    assert not network(render({"networkPolicies": {"enabled": False}}))._policies


def told(*tried: tuple[str, str, int, bool]) -> tuple[int, str]:
    """What helm/check-network says of connections: from, to, port, whether it was open."""
    made = [SCRIPT["Tried"](*one, wanted=one[:3] in TABLE.open) for one in tried]
    status, lines = SCRIPT["judged"](made)
    return status, "\n".join(lines)


def test_a_network_that_enforces_nothing_is_told_apart_from_one_with_a_hole() -> None:
    right = ("hub", "server", 8888, True)
    refused = ("job", "server", 22, False)  # nothing listens there
    assert told(right, refused, ("job", "server", 8888, False)) == (
        0,
        "3 connections tried, 0 otherwise than network.txt says.",
    )
    hole = ("stranger", "server", 8889, True)
    status, said = told(right, ("job", "server", 8888, False), hole)
    assert (status, said.splitlines()[1:]) == (
        1,
        ["stranger → server:8889 is open, and should be closed"],
    )
    shut = ("hub", "server", 8888, False)
    status, said = told(shut, ("server", "job", 8888, False))
    assert (status, "hub → server:8888 is closed, and should be open" in said) == (1, True)
    status, said = told(right, refused, ("job", "server", 8888, True), hole)
    assert status == 2
    assert "does NOT enforce NetworkPolicies" in said
