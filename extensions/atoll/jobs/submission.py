"""A job request made from what people give: a notebook's path, Python values, `name=value` options."""

from __future__ import annotations

import json
import math
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from numbers import Real
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from atoll.jobs import notebooks
from atoll.jobs.models import JobRequest, JobStatus
from atoll.jobs.parameters import unfit
from atoll.kit.errors import InvalidError

if TYPE_CHECKING:
    from pydantic import JsonValue

_WORDS: Final = {"True": True, "False": False, "null": None, "None": None}
"""papermill's spellings, and Python's own for nothing."""
_TO_A_PERSON: Final = 5  # warn, _captured, request, what a person calls, their line


def warn(sentence: str) -> None:
    """Warn at the line that calls what calls `request`, such as `atoll.submit`: a person's own line."""
    warnings.warn(sentence, stacklevel=_TO_A_PERSON)


def request(
    notebook: str | PathLike[str] | Mapping[str, JsonValue],
    parameters: Mapping[str, object],
    *,
    environment: str = "server",
    server: str | None = None,
    queue: str = "default",
    timeout_s: float | None = None,
    retries: int = 0,
    name: str | None = None,
    cpu: float | None = None,
    memory: str | None = None,
    gpu: int | None = None,
    files: Sequence[str | PathLike[str]] = (),
    tell: Callable[[str], object] = warn,
) -> JobRequest:
    """What is sent to submit a job; raises InvalidError where it cannot be.

    What is None stays unset, for the platform knows it better: the calling server, the time limit.
    `tell` is called with a sentence where some of the files were left out.
    """
    _check_kinds(notebook, timeout_s, files)
    resources = {"cpu": cpu, "memory": memory, "gpu": gpu}
    title, document = (
        ("notebook.ipynb", dict(notebook))
        if isinstance(notebook, Mapping)
        else notebook_of(notebook)
    )
    values: dict[str, object] = {
        "name": title if name is None else name,
        "folder": None if isinstance(notebook, Mapping) else folder_of(notebook),
        "notebook": _without_outputs(document),
        "parameters": as_json(parameters),
        "environment": environment,
        "queue": queue,
        "server": server,
        "timeout_s": None if timeout_s is None else max(1, round(timeout_s)),
        "retries": retries or None,
        "resources": {name: value for name, value in resources.items() if value is not None}
        or None,
    }
    if files:
        values |= _captured(notebook, files, tell)
    try:
        return JobRequest.model_validate(
            {name: value for name, value in values.items() if value is not None}
        )
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("environment",):
            raise InvalidError(
                f"{str(environment)[:80]!r} is no environment.",
                hint="Say server, last, base or a checkpoint's digest (sha256:…).",
            ) from error
        if first["loc"] == ("resources", "memory"):
            raise InvalidError(
                f"{str(memory)[:80]!r} is no amount of memory.", hint="Write 512M or 4G."
            ) from error
        raise InvalidError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from error


def _check_kinds(notebook: object, timeout_s: object, files: object) -> None:
    """Raise InvalidError where something is not of the kind that it is taken for from here on."""
    if not isinstance(notebook, str | PathLike | Mapping):
        raise InvalidError(
            f"The notebook is {_kind(notebook)}.",
            hint="Give the path of an .ipynb file, or a notebook document as a dictionary.",
        )
    if timeout_s is not None and not _is_length(timeout_s):
        raise InvalidError(
            f"{str(timeout_s)[:80]!r} is no time limit.",
            hint="Give a time above 0; in Python seconds, such as 1800, or a timedelta.",
        )
    if not isinstance(files, list | tuple) or not all(
        isinstance(file, str | PathLike) for file in files
    ):
        raise InvalidError(
            f"The files are {str(files)[:80]!r}.",
            hint='Give a list of paths, such as files=["data.csv"].',
        )


def _is_length(seconds: object) -> bool:
    return isinstance(seconds, Real) and 0 < float(seconds) < math.inf


def _kind(value: object) -> str:
    return f"of the type {type(value).__name__}"


def _captured(
    notebook: str | PathLike[str] | Mapping[str, JsonValue],
    files: Sequence[str | PathLike[str]],
    tell: Callable[[str], object],
) -> dict[str, object]:
    """The files as they are now, and where the notebook lies among them: in the home, in a server of
    the platform; else its folder is all there is."""
    from atoll.jobs.capture import capture  # few jobs need it

    path = Path("notebook.ipynb") if isinstance(notebook, Mapping) else Path(notebook)
    folder = folder_of(path)
    root = path.absolute().parent if folder is None else Path.home()
    found = capture(root, folder or "", files)
    if (left_out := found.told) is not None:
        tell(left_out)
    return {"files": found.files, "folder": folder}


def _without_outputs(document: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The notebook without what its cells gave here: a job makes its own, and they can be large."""
    cells = document.get("cells")
    return (
        {**document, "cells": [_bare(cell) for cell in cells]}
        if isinstance(cells, list)
        else {**document}
    )


def _bare(cell: JsonValue) -> JsonValue:
    if not isinstance(cell, dict) or cell.get("cell_type") != "code":
        return cell
    return {**cell, "outputs": [], "execution_count": None}


def status(text: str) -> JobStatus:
    """The status of this name; raises InvalidError, which lists them."""
    try:
        return JobStatus(text)
    except ValueError:
        raise InvalidError(
            f"{text!r} is no status of a job.", hint=f"It is one of {', '.join(JobStatus)}."
        ) from None


def as_json(parameters: Mapping[str, object]) -> dict[str, JsonValue]:
    """The parameters as JSON: dates become text, NumPy's numbers plain ones.

    Raises InvalidError naming a value that a notebook cannot be given.
    """
    if not isinstance(parameters, Mapping):
        raise InvalidError(
            f"The parameters are {_kind(parameters)}.",
            hint='Give a dictionary of names and values, such as {"year": 2013}.',
        )
    return {_checked_name(name): _given(value, str(name)) for name, value in parameters.items()}


def _checked_name(name: object) -> str:
    if isinstance(name, str):
        return name
    raise InvalidError(
        f"{str(name)[:80]} is no name of a parameter: it is {_kind(name)}.",
        hint='Names are text, such as {"year": 2013}.',
    )


def _given(value: object, name: str) -> JsonValue:
    try:
        return _plain(value, name)
    except RecursionError:
        raise InvalidError(
            f"The parameter {name} nests too deep, or holds itself.",
            hint="Save it to a file and pass its path.",
        ) from None


def _plain(value: object, name: str) -> JsonValue:
    plain = getattr(value, "tolist", None)  # NumPy's scalars and arrays, pandas' indexes
    if callable(plain):
        value = plain()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, date):  # and its kind, datetime
        return value.isoformat()
    if isinstance(value, Decimal | Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{name}[{key!r}]") for key, item in value.items()}
    return [_plain(item, f"{name}[{index}]") for index, item in enumerate(_items(value, name))]


def _items(value: object, name: str) -> list[object] | tuple[object, ...]:
    if isinstance(value, list | tuple):
        return value
    what = str(value) if isinstance(value, float) else _kind(value)
    raise InvalidError(
        f"The parameter {name} is {what}, which a job cannot be given.",
        hint="Use numbers, text, booleans, lists and dictionaries; save a table and pass its path.",
    )


def typed(text: str) -> JsonValue:
    """A value from a command line, typed as papermill does: True, False, null, int, float, else text."""
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else text
    return text


def assignments(options: list[str], *, raw: bool = False) -> dict[str, JsonValue]:
    """`name=value` options as parameters; with `raw` every value stays text."""
    found: dict[str, JsonValue] = {}
    for option in options:
        name, separator, value = option.partition("=")
        if not separator or not name.isidentifier():
            raise InvalidError(
                f"{option!r} is no parameter.", hint="Write name=value, such as -p year=2013."
            )
        found[name] = value if raw else typed(value)
    return found


def check_typed(notebook: Mapping[str, JsonValue], values: Mapping[str, JsonValue]) -> None:
    """Raise InvalidError where a value of a command line cannot be what the notebook's default is.

    The job would take it, and fail at a cell that counts with it.
    """
    if not values:
        return
    for parameter in notebooks.parameters(dict(notebook)):
        value = values.get(parameter.name)
        if (what := unfit(parameter, value)) is not None:
            name = parameter.name
            raise InvalidError(
                f"The parameter {name} is {what} ({parameter.source[:80]} in the notebook),"
                f" and {str(value)[:80]!r} is none.",
                hint=f"-r {name}={str(value)[:80]} gives it as text all the same; `atoll.submit`, in Python,"
                " takes lists and dictionaries too.",
            )


_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """A length of time such as `90`, `90s`, `30m`, `2h` or `1d`, in seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if found is None:
        raise InvalidError(f"{text!r} is no length of time.", hint="Write 90s, 30m, 2h or 1d.")
    return float(found[1]) * _UNITS[found[2]]


def notebook_of(path: str | PathLike[str]) -> tuple[str, dict[str, JsonValue]]:
    """A notebook file's name and document; raises InvalidError where it is none."""
    source = Path(path)
    try:
        found = json.loads(source.read_text("utf-8"))
    except FileNotFoundError:
        raise InvalidError(f"There is no file {fspath(path)!r}.") from None
    except OSError as error:
        raise InvalidError(f"{fspath(path)!r} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InvalidError(
            f"{fspath(path)!r} is no notebook: it holds something else, or was cut off.",
            hint="Give the path of an .ipynb file.",
        ) from error
    if not isinstance(found, dict) or "cells" not in found:
        raise InvalidError(
            f"{fspath(path)!r} is no notebook: it has no cells.",
            hint="Give the path of an .ipynb file (nbformat 4).",
        )
    return source.name, found


def folder_of(path: str | PathLike[str]) -> str | None:
    """The notebook's folder relative to the home, where this runs in a server of the platform."""
    if "JUPYTERHUB_USER" not in os.environ:
        return None  # a home of another machine
    folder = Path(os.path.normpath(Path(path).absolute())).parent
    home = Path.home()
    # a process knows its working directory without the links that led to it
    known = next((one for one in (home, home.resolve()) if folder.is_relative_to(one)), None)
    return None if known is None else folder.relative_to(known).as_posix()
