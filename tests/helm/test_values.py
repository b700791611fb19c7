"""The values: written from the typed model, documented, and refused by name where they are wrong."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any, Final

import pytest
import yaml

from helm.settings_part import SECTIONS, undescribed
from helm.values import ChartValues
from helm.write import files, schema
from tests.helm.chart import CHART, KUBERNETES, ROOT, RefusedError, helm, render


@pytest.mark.parametrize("name", files())
def test_what_is_written_from_the_model_is_not_stale(name: str) -> None:
    assert (ROOT / name).read_text("utf-8") == files()[name], "run `make chart`"


def test_the_default_values_are_the_models_own() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    assert ChartValues.model_validate(values) == ChartValues()


def test_every_value_says_what_it_is_for() -> None:
    sections = {kind.__name__ for kind in SECTIONS.values()}
    nested = [
        one
        for one in undescribed(schema())
        if one.split(".", maxsplit=1)[0] in {*sections, "Values"}
    ]
    assert nested == []


def test_settings_are_all_that_the_programs_read_but_what_the_chart_sets() -> None:
    definitions = schema()["$defs"]
    assert set(definitions["SettingsPart"]["properties"]) == set(SECTIONS)
    assert "admins" in definitions["HubSection"]["properties"]
    assert "public_url" not in definitions["HubSection"]["properties"]


def test_helm_finds_nothing_to_say_about_the_chart() -> None:
    done = subprocess.run(
        [helm(), "lint", "--strict", "--kube-version", KUBERNETES, str(CHART)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout


def _storage(**values: Any) -> dict[str, Any]:
    return {"settings": {"hub": {"storage": values}}}


def _profile(**values: Any) -> dict[str, Any]:
    return {"settings": {"hub": {"profiles": {"x": {"title": "X", **values}}}}}


WRONG: Final[list[tuple[dict[str, Any], str]]] = [
    ({"hubb": {}}, "hubb"),
    ({"hub": {"storag": {}}}, "storag"),
    ({"service": {"replicas": "two"}}, "/service/replicas"),
    ({"service": {"replicas": -1}}, "/service/replicas"),
    ({"publicUrl": "atoll.example"}, "/publicUrl"),
    ({"publicUrl": "https://atoll.example/lab/"}, "/publicUrl"),
    ({"proxy": {"service": {"type": "Loadbalancer"}}}, "/proxy/service/type"),
    ({"agents": {"containerdSocket": "run/containerd.sock"}}, "/agents/containerdSocket"),
    ({"registry": {"storage": {"size": "big"}}}, "/registry/storage/size"),
    ({"networkPolicies": {"nodes": ["10.0.0.1"]}}, "/networkPolicies/nodes/0"),
    ({"culler": {"afterS": 5}}, "/culler/afterS"),
    ({"settings": {"hub": {"admin": ["ada"]}}}, "admin"),
    ({"settings": {"hub": {"admins": ["A B"]}}}, "/settings/hub/admins/0"),
    ({"settings": {"hub": {"profiles": {"x": {"titel": "X"}}}}}, "titel"),
    ({"settings": {"hub": {"profiles": {"X!": {"title": "X"}}}}}, "X!"),
    ({"settings": {"jobs": {"places": 0}}}, "/settings/jobs/places"),
    ({"settings": {"checkpoints": {"keep_last": "many"}}}, "/settings/checkpoints/keep_last"),
    ({"settings": {"up": {"port": 80}}}, "up"),
    # what the chart itself sets
    ({"settings": {"service": {"database": "sqlite://"}}}, "database"),
    ({"settings": {"kubernetes": {"servers_namespace": "x"}}}, "servers_namespace"),
    # values that do not go together
    ({"database": {"url": "postgresql+psycopg://db/atoll"}}, "postgres.enabled"),
    (
        {
            "postgres": {"enabled": False},
            "database": {"url": "postgresql+psycopg://x", "existingSecret": {"name": "x"}},
        },
        "database.url",
    ),
    ({"postgres": {"enabled": False}, "service": {"replicas": 2}}, "service.replicas"),
    ({"service": {"replicas": 2}}, "service.storage.accessModes"),
    ({"registry": {"enabled": False}}, "registry.address"),
    ({"registry": {"address": "registry.example"}}, "registry.address"),
    ({"registry": {"nodes": {"setUp": False}}}, "registry.pullAddress"),
    ({"agents": {"enabled": False}}, "registry.pullAddress"),
    ({"registry": {"ingress": {"enabled": True}}}, "registry.ingress.host"),
    ({"proxy": {"enabled": False}}, "proxy.apiUrl"),
    ({"secrets": {"existing": "mine"}}, "registry.pullSecret"),
    ({"secrets": {"existingTls": "mine"}}, "secrets.existingCa"),
    ({"settings": {"hub": {"storage": {"kind": "existing"}}}}, "settings.hub.storage.claim"),
    ({"settings": {"hub": {"storage": {"kind": "nfs"}}}}, "settings.hub.storage.claim"),
    (_storage(sub_path="homes"), "settings.hub.storage.sub_path"),
    (_storage(sub_path="../{username}"), "settings.hub.storage.sub_path"),
    (_storage(shares={"team": {}}), "settings.hub.storage.shares.team.claim"),
    (_storage(kind="none", shares={"team": {}}), "settings.hub.storage.shares.team.claim"),
    (
        _storage(shares={"team": {"claim": "team", "path": "a/.."}}),
        "settings.hub.storage.shares.team.path",
    ),
    (
        _profile(volumes={"data": {"claim": "data", "mount": "/data", "path": ".."}}),
        "settings.hub.profiles.x.volumes.data.path",
    ),
    (
        {"settings": {"hub": {"kubespawner": {"enable_user_namespaces": True}}}},
        "settings.hub.kubespawner.enable_user_namespaces",
    ),
    (
        _profile(kubespawner={"enable_user_namespaces": True}),
        "settings.hub.profiles.x.kubespawner.enable_user_namespaces",
    ),
    ({"settings": {"jobs": {"variables": {"ATOLL_X": "1"}}}}, "settings.jobs.variables.ATOLL_X"),
    ({"storage": {"nfs": {"homes": {"server": "files.example"}}}}, "storage.nfs.homes"),
]


@pytest.mark.parametrize(("values", "named"), WRONG, ids=lambda one: json.dumps(one)[:60])
def test_a_wrong_value_stops_the_installation_with_its_name(
    values: dict[str, Any], named: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        render(values)
    said = str(refused.value)
    assert re.search(rf"(?<![\w.]){re.escape(named)}(?!\w)", said), said


@pytest.mark.parametrize(
    "values",
    [
        _storage(
            sub_path="all/{username}/home", shares={"team": {"claim": "team", "path": "a..b"}}
        ),
        _storage(kind="existing", claim="homes", shares={"team": {}}),
        _profile(
            volumes={"data": {"claim": "data", "mount": "/data", "path": "raw"}},
            kubespawner={"enable_user_namespaces": False},
        ),
        {"settings": {"jobs": {"variables": {"MY_ATOLL_X": "1"}}}},
    ],
    ids=lambda one: json.dumps(one)[:60],
)
def test_what_is_nearly_wrong_is_installed(values: dict[str, Any]) -> None:
    assert render(values)


def test_every_value_is_used_by_a_template() -> None:
    templates = "\n".join(
        path.read_text("utf-8") for path in (CHART / "templates").rglob("*") if path.is_file()
    )

    def unused(values: dict[str, Any], above: str = "") -> list[str]:
        found = []
        for name, value in values.items():
            if not re.search(rf"[.$a-z]*\.{name}\b|\"{name}\"", templates):
                found.append(above + name)
            elif isinstance(value, dict) and name not in ("settings", "requests", "limits"):
                found += unused(value, f"{above}{name}.")
        return found

    values = ChartValues().model_dump(by_alias=True, exclude={"global_"})
    assert [one for one in unused(values) if "resources." not in one] == []
