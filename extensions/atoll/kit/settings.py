"""Settings: typed, from one TOML file and environment variables; a wrong one says where it was read."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from atoll.kit.errors import AtollError

PREFIX: Final = "ATOLL_"
"""`ATOLL_HUB__PORT=9000` sets `port` in `[hub]`; names without `__` are not settings."""

_HINT: Final = "Correct it and start again; docs/operators/settings.md lists every setting."


class Section(BaseModel):
    """One table of the settings file. Unknown names are errors: a typo must not pass in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


M = TypeVar("M", bound=BaseModel)


class SettingsError(AtollError):
    """A setting has a value that it may not have."""

    status, code, title = 500, "settings", "The settings are not valid"


def load(model: type[M], file: Path, environ: Mapping[str, str] = os.environ) -> M:
    """The settings of a process: `model`'s fields are the sections it reads, others are left alone.

    Environment variables win over the file. Raises SettingsError naming each wrong setting, what
    it may be, and where it was read.
    """
    values, origins = _read(file, environ)
    try:
        return model.model_validate({k: v for k, v in values.items() if k in model.model_fields})
    except ValidationError as error:
        raise SettingsError(
            "\n".join(_sentence(problem, origins, file) for problem in error.errors()), hint=_HINT
        ) from error


def check_sections(
    models: Iterable[type[BaseModel]], file: Path, environ: Mapping[str, str] = os.environ
) -> None:
    """Raise SettingsError where a section was set that no process reads; `models` are all of them."""
    values, origins = _read(file, environ)
    known = sorted({name for model in models for name in model.model_fields})
    wrong = [section for section in values if section not in known]
    if wrong:
        read_from = {section: origin for (section, _), origin in reversed(origins.items())}
        sentences = [f"[{one}] (read from {read_from.get(one, file)})" for one in wrong]
        raise SettingsError(
            f"There is no section {', '.join(sentences)}; there are {', '.join(known)}.",
            hint=_HINT,
        )


def _read(
    file: Path, environ: Mapping[str, str]
) -> tuple[dict[str, dict[str, object]], dict[tuple[str, str], str]]:
    """All settings by section, and where each was read; variables win."""
    values, origins = _from_file(file)
    for variable, value in sorted(environ.items()):
        section, separator, name = variable.removeprefix(PREFIX).lower().partition("__")
        if not variable.startswith(PREFIX) or not separator:
            continue
        values.setdefault(section, {})[name] = value
        origins[section, name] = f"environment variable {variable}"
    return values, origins


def _from_file(file: Path) -> tuple[dict[str, dict[str, object]], dict[tuple[str, str], str]]:
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return {}, {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {error}.") from error
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not valid TOML: {error}.") from error
    origins = {}
    for section, table in tables.items():
        if not isinstance(table, dict):
            raise SettingsError(f"{section} in {file} stands outside of a [section].")
        origins.update({(section, name): str(file) for name in table})
    return tables, origins


def _sentence(
    problem: Mapping[str, object], origins: Mapping[tuple[str, str], str], file: Path
) -> str:
    where = tuple(str(part) for part in problem["loc"])  # type: ignore[attr-defined]
    origin = origins.get((where[0], where[1]) if len(where) > 1 else (where[0], ""), str(file))
    given = "" if problem["type"] == "missing" else f" = {problem['input']!r}"
    return f"{'.'.join(where)}{given} (read from {origin}): {problem['msg']}."
