"""What commands have in common: tables or JSON, exit codes that mean something, errors without traces."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum, StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Final, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console
    from rich.table import Table

    from atoll.kit.errors import AtollError


class Exit(IntEnum):
    """What a command's exit status says."""

    OK = 0
    FAILED = 1  # the job or the checkpoint failed, or something went wrong inside the platform
    USAGE = 2  # the command line or the request is not valid
    DENIED = 3  # not logged in, or not allowed
    NOT_FOUND = 4
    CONFLICT = 5  # not possible in this state
    UNAVAILABLE = 6  # the platform or a part of it does not answer
    STOPPED = 7  # the job was stopped
    TIMED_OUT = 124  # as timeout(1)
    INTERRUPTED = 130  # as shells say of Ctrl-C


_BY_STATUS: Final = {
    401: Exit.DENIED,
    403: Exit.DENIED,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
    413: Exit.USAGE,
    422: Exit.USAGE,
    503: Exit.UNAVAILABLE,
    507: Exit.UNAVAILABLE,
}


class Output(StrEnum):
    """How a command shows what it found."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="A table for people, or JSON for programs.")
]


@cache
def out() -> Console:
    """Standard output. Where it is no terminal nothing is cut off to fit one."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 1000)


@cache
def err() -> Console:
    """Standard error: messages and progress, so that output can be piped."""
    from rich.console import Console

    return Console(highlight=False, stderr=True)


YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def sure(question: str, yes: bool) -> None:
    """Ask before something that cannot be undone; ends the command unless the answer is yes."""
    if not yes and not typer.confirm(question, err=True):
        raise typer.Exit(Exit.OK)


def group(name: str, help_: str) -> typer.Typer:
    """A noun of the command line; its verbs are added with `@noun.command()`."""
    return typer.Typer(name=name, help=help_, no_args_is_help=True, rich_markup_mode="markdown")


def _show(shown: Table) -> None:
    if sys.stdout.isatty():
        out().print(shown)
        return
    with out().capture() as printed:
        out().print(shown)
    for line in printed.get().splitlines():
        sys.stdout.write(line.rstrip() + "\n")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """Print rows in columns; `empty` says what to do where there are none."""
    from rich.table import Table
    from rich.text import Text

    lines = list(rows)
    if not lines:
        err().print(Text(empty))
        return
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        shown.add_column(heading, overflow="fold" if heading == "ID" else "ellipsis")
    for line in lines:
        shown.add_row(*(Text(cell) for cell in line))
    _show(shown)


def facts(pairs: Iterable[tuple[str, str | None]]) -> None:
    """Print what is known of one thing, a fact a line; facts that are None or empty are left out."""
    from rich.table import Table
    from rich.text import Text

    shown = Table.grid(padding=(0, 2))
    for name, value in pairs:
        if value:
            shown.add_row(Text(name, style="bold"), Text(value))
    _show(shown)


def models(found: Sequence[BaseModel]) -> None:
    """Print models as a JSON list."""
    plain([item.model_dump(mode="json") for item in found])


def model(found: BaseModel) -> None:
    """Print one model as JSON."""
    plain(found.model_dump(mode="json"))


def plain(value: object) -> None:
    """Print a value as JSON."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


M = TypeVar("M", bound="BaseModel")


def checked(kind: type[M], values: Mapping[str, object]) -> M:
    """A request made from options; raises InvalidError where the platform would refuse its form."""
    from pydantic import ValidationError

    from atoll.kit.errors import InvalidError

    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
        raise InvalidError(f"{where}: {first['msg']} ({first['input']!r}).") from error


def say(sentence: str) -> None:
    """Tell a person something that is no output."""
    from rich.text import Text

    err().print(Text(sentence))


def fail(error: AtollError) -> NoReturn:
    """Tell what happened and what to do, and end with the status that this kind of error has."""
    from rich.text import Text

    err().print(Text(error.detail, style="red"))
    if error.hint:
        err().print(Text(error.hint))
    raise SystemExit(_BY_STATUS.get(error.status, Exit.FAILED))


def run(app: Callable[[], object]) -> None:
    """Run a command line: errors of the platform become sentences, Ctrl-C a quiet end."""
    from atoll.kit.errors import AtollError

    try:
        app()
    except AtollError as error:
        fail(error)
    except KeyboardInterrupt:
        raise SystemExit(Exit.INTERRUPTED) from None
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        raise SystemExit(Exit.OK) from None
