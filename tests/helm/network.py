"""Who may talk to whom, by the NetworkPolicies alone: what an enforcing network would let through.

Kubernetes' rules: a pod that no policy selects for a direction is open in it; one that some select
has what any of them allows; a connection needs both ends. An ipBlock is held against every address,
pods' too, which is what networks do at most.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Peer:
    """A pod, or, without a namespace, something outside of the cluster's pods."""

    name: str
    address: str
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


class Network:
    """The policies of a cluster, and the labels of its namespaces."""

    def __init__(self, policies: Sequence[Object], namespaces: Mapping[str, Mapping[str, str]]):
        self._policies = policies
        self._namespaces = {
            name: {**labels, "kubernetes.io/metadata.name": name}
            for name, labels in namespaces.items()
        }

    def allows(self, source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
        """Whether `source` may open a connection to this port of `target`."""
        return any(
            self._matches(rule, "to", target) and _port(rule, port, protocol)
            for rule in self._rules(source, "Egress")
        ) and any(
            self._matches(rule, "from", source) and _port(rule, port, protocol)
            for rule in self._rules(target, "Ingress")
        )

    def _rules(self, peer: Peer, direction: str) -> list[Object]:
        """What is allowed in this direction; one rule without limits where no policy selects the peer."""
        specs = [
            policy["spec"]
            for policy in self._policies
            if policy["metadata"]["namespace"] == peer.namespace
            and direction in policy["spec"].get("policyTypes", ["Ingress"])
            and _selects(policy["spec"]["podSelector"], peer.labels)
        ]
        if not specs:
            return [{}]
        return [rule for spec in specs for rule in spec.get(direction.lower()) or []]

    def _matches(self, rule: Object, side: str, other: Peer) -> bool:
        peers = rule.get(side)
        return not peers or any(self._peer(peer, other) for peer in peers)

    def _peer(self, peer: Object, other: Peer) -> bool:
        if "ipBlock" in peer:
            return _in_block(peer["ipBlock"], other.address)
        if other.namespace is None:
            return False
        assert "namespaceSelector" in peer, "ours always name the namespace"
        return _selects(
            peer["namespaceSelector"], self._namespaces.get(other.namespace, {})
        ) and _selects(peer.get("podSelector", {}), other.labels)


def _selects(selector: Object, labels: Mapping[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "only matchLabels is understood here"
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())


def _in_block(block: Object, address: str) -> bool:
    found = ipaddress.ip_address(address)
    return found in ipaddress.ip_network(block["cidr"]) and not any(
        found in ipaddress.ip_network(part) for part in block.get("except", [])
    )


def _port(rule: Object, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    return not ports or any(
        one.get("protocol", "TCP") == protocol and one.get("port") in (None, port) for one in ports
    )
