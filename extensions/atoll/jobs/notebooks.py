"""Notebooks as they arrive: is this one that can run, in which kernel, and which parameters has it?

Nothing here runs or imports anything of the notebook's; the source is read as a syntax tree.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from atoll.jobs.models import Notebook, Parameter
from atoll.jobs.parameters import parameters_of
from atoll.kit.errors import InvalidError, TooLargeError

TAG: Final = "parameters"

_LANGUAGES: Final = frozenset(
    {
        "python", "r", "scala", "julia", "matlab", "bash",
        ".net-csharp", ".net-fsharp", ".net-powershell",
    }
)  # fmt: skip
"""Languages that papermill can write parameters in, lower case."""

_KERNEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,99})")
_SHOWN: Final = 60  # characters of what somebody sent, in messages


@dataclass(frozen=True, slots=True)
class Kernel:
    """The kernel that a notebook asks for, and its language as papermill spells it."""

    name: str
    language: str


def read_notebook(text: str | bytes) -> Notebook:
    """The notebook in a file's content; raises InvalidError where it is none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidError(
            f"This is no notebook: it is not JSON ({error}).",
            hint="Open it in the lab; a notebook that was cut off can be had from its checkpoints.",
        ) from error
    if not isinstance(document, dict):
        raise _no_notebook("its JSON is no object")
    check(document)
    return document


def check(notebook: Notebook) -> None:
    """Raise InvalidError, which says what is wrong, unless this is a notebook of nbformat 4."""
    version = notebook.get("nbformat")
    if version is None:
        raise _no_notebook("it has no `nbformat`")
    if version != 4:
        raise InvalidError(
            f"This notebook is of format {_shown(version)}; jobs run format 4.",
            hint="Open it in the lab and save it: that converts it.",
        )
    if not isinstance(notebook.get("metadata", {}), dict):
        raise _no_notebook("its `metadata` is no object")
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        raise _no_notebook("it has no list of `cells`")
    for number, cell in enumerate(cells, start=1):
        if not isinstance(cell, dict) or not isinstance(cell.get("metadata", {}), dict):
            raise _no_notebook(f"its cell {number} is no cell")
        if cell.get("cell_type") not in ("code", "markdown", "raw"):
            raise _no_notebook(f"its cell {number} is of no known type")
        if _source(cell) is None:
            raise _no_notebook(f"its cell {number} has no `source`")


def packed(notebook: Notebook, most: int) -> bytes:
    """The notebook as it is stored; raises TooLargeError over `most` bytes."""
    try:
        document = json.dumps(notebook, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        content = document.encode()
    except (ValueError, UnicodeEncodeError) as error:
        raise InvalidError(f"This notebook holds what JSON cannot carry: {error}.") from error
    if len(content) > most:
        raise TooLargeError(
            f"This notebook has {len(content) / 1e6:.1f} MB; {most / 1e6:.1f} MB are allowed.",
            hint="Clear its outputs (Edit → Clear Outputs of All Cells) and submit it again.",
        )
    return content


def kernel_of(notebook: Notebook, known: Mapping[str, str]) -> Kernel:
    """The kernel to run it in; `known` maps kernels' names to their languages ("" for any).

    Raises InvalidError where the notebook names none, or none that is known.
    """
    metadata = notebook.get("metadata")
    spec = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    name = spec.get("name") if isinstance(spec, dict) else None
    if not isinstance(name, str) or not name:
        raise InvalidError(
            "This notebook names no kernel, so nobody knows what to run it in.",
            hint="Open it in the lab, choose a kernel (top right), save, submit again.",
        )
    if name not in known or _KERNEL.fullmatch(name) is None:
        raise InvalidError(
            f"There is no kernel {_shown(name)} for jobs; there is {_listed(known)}.",
            hint="Choose another one in the lab (Kernel → Change Kernel), save, submit again.",
        )
    return Kernel(name, _language(notebook) or known[name])


def kernels_in(folders: Iterable[Path]) -> dict[str, str]:
    """Kernel name → language of the kernelspecs in these folders (…/share/jupyter); first counts."""
    found: dict[str, str] = {}
    for folder in folders:
        for spec in sorted((folder / "kernels").glob("*/kernel.json")):
            try:
                document = json.loads(spec.read_bytes())
            except (OSError, ValueError):
                continue  # of no use to anybody, so not offered
            language = document.get("language") if isinstance(document, dict) else None
            if isinstance(language, str):
                found.setdefault(spec.parent.name.lower(), language)
    return found


def code_cells(notebook: Notebook) -> int:
    """How many code cells it has."""
    return sum(1 for cell in _cells(notebook) if cell.get("cell_type") == "code")


def parameters(notebook: Notebook) -> list[Parameter]:
    """The parameters in the cell tagged `parameters`; none where that is missing or not Python."""
    source = _tagged(notebook)
    if source is None or (_language(notebook) or "python").lower() != "python":
        return []
    return parameters_of(source)


def check_parameters(
    notebook: Notebook, kernel: Kernel, values: Mapping[str, JsonValue], most: int = 1 << 20
) -> None:
    """Raise InvalidError unless the notebook has each of these parameters."""
    if not values:
        return
    if not all(_finite(value) for value in values.values()):
        raise InvalidError("A parameter is NaN or infinite, which JSON cannot carry.")
    if len(json.dumps(dict(values))) > most:
        raise TooLargeError(
            f"The parameters have more than {most / 1e6:.0f} MB.",
            hint="Put the data into a file or a dataset and give its name.",
        )
    if kernel.language.lower() not in _LANGUAGES:
        raise InvalidError(
            f"Parameters cannot be written in {_shown(kernel.language)}.",
            hint="Submit the notebook without parameters.",
        )
    if _tagged(notebook) is None:
        raise InvalidError(
            "Parameters were given, but no cell of this notebook is tagged `parameters`.",
            hint="Put the defaults into one cell and tag it (the gears in the right sidebar, Common Tools, Cell Tags).",
        )
    if kernel.language.lower() == "python":
        _check_known(values, [parameter.name for parameter in parameters(notebook)])
    elif unnamable := [name for name in values if not re.fullmatch(r"[A-Za-z]\w*", name)]:
        raise InvalidError(f"{_shown(unnamable[0])} cannot be the name of a parameter.")


def _check_known(values: Mapping[str, JsonValue], known: list[str]) -> None:
    unknown = [name for name in values if name not in known]
    if not unknown:
        return
    listed = ", ".join(_shown(name) for name in unknown[:5])
    raise InvalidError(
        f"The notebook has no parameter {listed}.",
        hint=f"Its parameters are {', '.join(known[:50])}."
        if known
        else "Its cell tagged `parameters` assigns nothing that could be one.",
    )


def _cells(notebook: Notebook) -> list[dict[str, JsonValue]]:
    cells = notebook.get("cells")
    return [cell for cell in cells if isinstance(cell, dict)] if isinstance(cells, list) else []


def _tagged(notebook: Notebook) -> str | None:
    """The source of the first code cell tagged `parameters`."""
    for cell in _cells(notebook):
        metadata = cell.get("metadata")
        tags = metadata.get("tags") if isinstance(metadata, dict) else None
        if isinstance(tags, list) and TAG in tags:
            return _source(cell)
    return None


def _source(cell: dict[str, JsonValue]) -> str | None:
    source = cell.get("source")
    if isinstance(source, str):
        return source
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(str(line) for line in source)
    return None


def _language(notebook: Notebook) -> str | None:
    metadata = notebook.get("metadata")
    if not isinstance(metadata, dict):
        return None
    for part, key in (("kernelspec", "language"), ("language_info", "name")):
        found = metadata.get(part)
        language = found.get(key) if isinstance(found, dict) else None
        if isinstance(language, str) and language:
            return language
    return None


def _finite(value: JsonValue) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(_finite(item) for item in value)
    return all(_finite(item) for item in value.values()) if isinstance(value, dict) else True


def _listed(known: Mapping[str, str]) -> str:
    return ", ".join(sorted(known)[:10]) or "none"


def _no_notebook(why: str) -> InvalidError:
    return InvalidError(
        f"This is no notebook: {why}.", hint="Submit an .ipynb file as the lab saves it."
    )


def _shown(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
