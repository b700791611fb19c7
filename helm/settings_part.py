"""The part of the chart's values that is the platform's own settings, from the classes that read them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

from atoll.apps.settings import ServiceSettings
from pydantic import BaseModel, ConfigDict, create_model

from hub_config.settings import HubSettings

ROOT: Final = Path(__file__).parents[1]
_REMARK: Final = re.compile(r"^    (\w+): .*  # (?!fmt|noqa|type)(\S.*)$", re.MULTILINE)
_ROW: Final = re.compile(r"^\| (`[a-z_.`, ]+`) \| .+? \| (.+) \|$", re.MULTILINE)

OF_THE_CHART: Final = {
    "HubSection": {
        "spawner", "host", "port", "connect_url", "proxy_api_port", "proxy_api_url",
        "service_port", "public_url", "database", "cull_after_s",
    },
    # PodSecurity `restricted` allows no volume but a claim: storage.nfs makes one
    "StorageSection": {"nfs_server", "nfs_path"},
    "KubernetesSection": {
        "enabled", "kubeconfig", "servers_namespace", "jobs_namespace", "service_url",
        "pull_secret", "hold_image", "admission_port", "admission_certificate", "admission_key",
    },
    "RegistrySettings": {"address", "pull_address", "plain_http", "issuer", "service"},
    "NodeSettings": {"name", "service_account", "audience", "api_url", "api_token", "api_ca"},
    "ServiceSection": {"host", "port", "hub_api_url", "url", "database"},
    "JobSettings": {"runner"},
}  # fmt: skip
"""What follows from other values: the chart sets it, and it cannot be set as a setting too."""


def _named(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _named(inner)


def _sections() -> dict[str, type[BaseModel]]:
    """The class of each section that hub or service reads."""
    found: dict[str, type[BaseModel]] = {}
    for settings in (HubSettings, ServiceSettings):  # of a section of both, the hub reads more
        for name, field in settings.model_fields.items():
            found.setdefault(name, next(_named(field.annotation)))
    return dict(sorted(found.items()))


SECTIONS: Final = _sections()

SettingsPart: Final[type[BaseModel]] = create_model(
    "SettingsPart",
    __config__=ConfigDict(extra="forbid"),
    **{name: (kind, kind()) for name, kind in SECTIONS.items()},  # type: ignore[call-overload]
)


def documented() -> dict[str, str]:
    """What docs/operators/settings.md says of each setting, for those that do not say it themselves."""
    said: dict[str, str] = {}
    for names, text in _ROW.findall((ROOT / "docs/operators/settings.md").read_text("utf-8")):
        for name in re.findall(r"`([^`]+)`", names):
            said[name] = text
    return said


def remarks(kind: type[BaseModel]) -> dict[str, str]:
    """What stands beside the fields of a settings class in its source."""
    return dict(_REMARK.findall(inspect.getsource(kind)))


def _classes(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The settings classes below a section, and itself."""
    yield kind
    for field in kind.model_fields.values():
        for one in _named(field.annotation):
            yield from _classes(one)


def with_descriptions(schema: dict[str, Any]) -> None:
    """Complete the schema: drop what is the chart's, add the descriptions that the classes lack."""
    said = documented()
    sections = {kind.__name__: section for section, kind in SECTIONS.items()}
    beside = {one.__name__: remarks(one) for kind in SECTIONS.values() for one in _classes(kind)}
    for title, definition in schema["$defs"].items():
        kind = title.rpartition("__")[2]
        for field in OF_THE_CHART.get(kind, ()):
            definition["properties"].pop(field)
        section = sections.get(kind)
        for field, value in definition.get("properties", {}).items():
            text = said.get(f"{section}.{field}", "") or beside.get(kind, {}).get(field, "")
            if "description" not in value and text:
                value["description"] = text


def undescribed(schema: dict[str, Any]) -> Iterator[str]:
    """The properties without a description, of their own or of what they refer to."""
    for kind, definition in sorted({**schema["$defs"], "Values": schema}.items()):
        for field, value in definition.get("properties", {}).items():
            referred = schema["$defs"].get(value.get("$ref", "").rpartition("/")[2], {})
            if not value.get("description", referred.get("description")):
                yield f"{kind}.{field}"
