"""Every name comes from one template file, so that two releases never meet."""

from __future__ import annotations

import re

import pytest

from tests.helm.chart import CHART, find, kinds, render

TEMPLATES = sorted((CHART / "templates").rglob("*.yaml"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_object_names_itself(path: object) -> None:
    text = path.read_text("utf-8")  # type: ignore[attr-defined]
    for block in re.findall(r"^metadata:\n((?:  .*\n)+)", text, re.MULTILINE):
        name = re.search(r"^  name: (.*)$", block, re.MULTILINE)
        assert name, block
        assert name[1].startswith("{{"), name[1]


def test_another_release_has_other_names_everywhere() -> None:
    names = {
        (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"])
        for one in render(release="atoll")
    }
    others = {
        (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"])
        for one in render(release="second")
    }
    assert not names & others


def test_names_can_be_chosen() -> None:
    objects = render({"fullnameOverride": "lab", "namespaces": {"servers": "people"}})
    assert {"Deployment/lab-hub", "Service/lab-proxy", "Namespace/people"} <= kinds(objects)
    assert "Namespace/lab-jobs" in kinds(objects)


def test_a_long_release_name_stays_a_name() -> None:
    longest = "r" * 53
    for one in render(release=longest):
        assert len(one["metadata"]["name"]) <= 63


def test_the_names_that_the_programs_agree_on() -> None:
    objects = render()
    ports = {
        one["metadata"]["name"]: [port["port"] for port in one["spec"]["ports"]]
        for one in objects
        if one["kind"] == "Service"
    }
    assert ports == {
        "atoll-hub": [8081],
        "atoll-proxy": [80],
        "atoll-proxy-api": [8001],
        "atoll-service": [8010, 8443],
        "atoll-registry": [5000],
        "atoll-postgres": [5432],
    }
    for name, level in {
        "atoll-servers": "restricted",
        "atoll-jobs": "restricted",
        "atoll-agents": "privileged",
    }.items():
        namespace = find(objects, "Namespace", name)
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == level
        assert namespace["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
