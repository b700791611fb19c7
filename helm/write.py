"""Writes what follows from the typed values: `python -m helm.write`, or `make chart`.

`values.yaml`, `values.schema.json` and `Chart.yaml` of the chart, and the tables of docs/operators/chart.md.
"""

from __future__ import annotations

import json
import textwrap
import tomllib
from collections.abc import Iterator
from typing import Any, Final

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from helm.settings_part import ROOT, with_descriptions
from helm.values import ChartValues

CHART: Final = ROOT / "helm" / "atoll"
PAGE: Final = ROOT / "docs" / "operators" / "chart.md"
BEGIN: Final = "<!-- the values: written by `make chart` -->"
END: Final = "<!-- end of the values -->"
_WIDTH: Final = 100


def files() -> dict[str, str]:
    """Each written file's path below the repository, and what it should hold."""
    return {
        "helm/atoll/Chart.yaml": chart(),
        "helm/atoll/values.yaml": values(),
        "helm/atoll/values.schema.json": json.dumps(schema(), indent=1, ensure_ascii=False) + "\n",
        "docs/operators/chart.md": page(PAGE.read_text("utf-8")),
    }


def schema() -> dict[str, Any]:
    """The JSON schema that helm checks values against."""
    found: dict[str, Any] = ChartValues.model_json_schema()
    with_descriptions(found)
    found["title"] = "Values of the chart atoll"
    _without_noise(found)
    return found


def values() -> str:
    """The default values, each with what it is for."""
    lines = [
        "# Written by `make chart` from helm/values.py; docs/operators/chart.md says more.",
        "",
    ]
    lines += _yaml(ChartValues(), 0)
    return "\n".join(lines) + "\n"


def chart() -> str:
    """Chart.yaml; its version is the package's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return yaml.safe_dump(
        {
            "apiVersion": "v2",
            "name": "atoll",
            "description": project["description"],
            "type": "application",
            "version": project["version"],
            "appVersion": project["version"],
            "kubeVersion": ">=1.30.0-0",  # admission policies
            "home": project["urls"]["Documentation"],
            "keywords": project["keywords"],
        },
        sort_keys=False,
        width=_WIDTH,
    )


def page(text: str) -> str:
    """The page of documentation, with its tables written anew."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    tables = "\n".join(_tables(ChartValues(), "", "The whole"))
    return f"{head}{BEGIN}\n\n{tables}\n{END}{tail}"


def _shown(model: BaseModel) -> Iterator[tuple[str, FieldInfo, Any]]:
    """The values of a group: name, field, default."""
    for name, field in type(model).model_fields.items():
        yield field.alias or name, field, getattr(model, name)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return value


def _group(name: str, value: Any) -> bool:
    return isinstance(value, BaseModel) and name not in ("settings", "resources")


def _yaml(model: BaseModel, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, field, value in _shown(model):
        if depth == 0 and _group(name, value):
            yield ""
        yield from textwrap.wrap(
            field.description or "",
            _WIDTH - len(indent),
            initial_indent=f"{indent}# ",
            subsequent_indent=f"{indent}# ",
            break_on_hyphens=False,
        )
        if _group(name, value):
            yield f"{indent}{name}:"
            yield from _yaml(value, depth + 1)
            continue
        text = yaml.safe_dump({name: _plain(value)}, sort_keys=False, width=_WIDTH).rstrip()
        yield textwrap.indent(text, indent)


def _tables(model: BaseModel, prefix: str, title: str) -> Iterator[str]:
    rows, groups = [], []
    for name, field, value in _shown(model):
        if _group(name, value):
            groups.append((f"{prefix}{name}", field, value))
            if not prefix:
                continue
        if not _group(name, value):
            default = json.dumps(_plain(value), ensure_ascii=False).replace("|", "\\|")
            rows.append(f"| `{prefix}{name}` | `{default}` | {field.description} |")
    if not prefix or prefix.count(".") == 1:
        yield f"### {title}\n"
        yield "| Value | Default | What it is |\n|---|---|---|"
    yield from rows
    for name, field, value in groups:
        if not prefix:
            yield ""
        yield from _tables(value, f"{name}.", f"{name}: {str(field.description).rstrip('.')}")
    if not prefix:
        yield ""


def _without_noise(node: Any) -> None:
    """Drop titles that only repeat the names and formats that no checker knows; close named tables."""
    if isinstance(node, dict):
        if "patternProperties" in node:
            node.setdefault("additionalProperties", False)
        if isinstance(node.get("title"), str) and "title" not in node.get("properties", {}):
            node.pop("title")
        node.pop("format", None) if isinstance(node.get("format"), str) else None
        for value in node.values():
            _without_noise(value)
    elif isinstance(node, list):
        for value in node:
            _without_noise(value)


def main() -> None:
    """Write the files that are not as they should be, and say which."""
    for name, text in files().items():
        path = ROOT / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            print(f"written: {name}")


if __name__ == "__main__":
    main()
