"""`atoll datasets`: what data there is, what it looks like, who may use it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from atoll.kit import console, session
from atoll.kit.console import Exit, Output, OutputOption, YesOption

if TYPE_CHECKING:
    from pydantic import JsonValue

    from atoll.datasets.models import Dataset
    from atoll.kit.http import Connection

datasets = console.group("datasets", "Data the platform can reach: list, look, add, share.")

RefArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A dataset: its name, owner:name, or id.")
]
NoWaitOption = Annotated[
    bool, typer.Option("--no-wait", help="Return at once, before the data was looked at.")
]

FormatOption = Annotated[
    str | None, typer.Option("--format", help="csv, parquet or sqlite; found out unless given.")
]
OptionOption = Annotated[
    list[str] | None,
    typer.Option(help="How to read it, such as delimiter=; (may be given several times)."),
]

_LOOK_S: Final = 0.2


@datasets.command("list")
def list_datasets(
    name: Annotated[str | None, typer.Option(help="Whose name contains this.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the datasets you may use.

    Example: `atoll datasets list --name flights`
    """
    from atoll.datasets import client, handle

    with session.connect() as connection:
        found = connection.every(lambda cursor: client.datasets(name=name, cursor=cursor))
    if output is Output.JSON:
        console.models(found)
        return
    empty = "No datasets: `atoll datasets add NAME PATH` adds one."
    console.table(handle.HEADINGS, map(handle.row, found), empty)


@datasets.command("show")
def show_dataset(ref: RefArgument, output: OutputOption = Output.TABLE) -> None:
    """Show a dataset: its columns, size, partitions, and who may use it.

    Example: `atoll datasets show flights`
    """
    from atoll.datasets import client

    with session.connect() as connection:
        _print(connection.send(client.dataset(ref)), output)


@datasets.command("preview")
def preview_dataset(
    ref: RefArgument,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=1000)] = 10,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the first rows from the platform's own sample; the source is not read.

    Example: `atoll datasets preview flights --rows 5`
    """
    from atoll.datasets import client, handle

    with session.connect() as connection:
        found = connection.send(client.preview(ref, rows=rows))
    names = [column.name for column in found.columns]
    if output is Output.JSON:
        console.plain([dict(zip(names, row, strict=True)) for row in found.rows])
    else:
        lines = [[handle.cell(value) for value in row] for row in found.rows]
        console.table(names, lines, "The dataset has no rows.")


@datasets.command("add")
def add_dataset(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is to be called.")],
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="A file or a folder, as the platform sees it.")
    ],
    *,
    table: Annotated[str | None, typer.Option(help="A table of a database file.")] = None,
    format_: FormatOption = None,
    option: OptionOption = None,
    description: Annotated[str, typer.Option("--description", "-m", help="For people.")] = "",
    grant: Annotated[
        list[str] | None,
        typer.Option(help="Who may use it: everyone, user:NAME, group:NAME (several times)."),
    ] = None,
    platform: Annotated[
        bool, typer.Option("--platform", help="The platform's own; for administrators.")
    ] = False,
    no_wait: NoWaitOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Add a dataset and look at it: reachable? which columns? how many rows?

    Example: `atoll datasets add sales data/sales --grant group:finance`
    """
    from atoll.datasets import client, models

    request = console.checked(
        models.DatasetRequest,
        {
            "name": name,
            "location": {
                "path": _seen_by_platform(path),
                "table": table,
                "options": _options(option or []),
            },
            "format": format_,
            "description": description,
            "grants": grant or [],
            "platform": platform,
        },
    )
    with session.connect() as connection:
        found = connection.send(client.add(request))
        _finish(connection, found, output, no_wait=no_wait)


@datasets.command("change")
def change_dataset(
    ref: RefArgument,
    *,
    path: Annotated[str | None, typer.Option(help="Where the source is now.")] = None,
    table: Annotated[str | None, typer.Option(help="A table of a database file.")] = None,
    format_: FormatOption = None,
    option: OptionOption = None,
    no_wait: NoWaitOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say anew where a dataset's source is or how it is read, and look at it.

    What is not given stays; an empty text takes back what was said (`--format ""`). Options are
    replaced all together.

    Example: `atoll datasets change sales --option encoding=latin-1`
    """
    from atoll.datasets import client, models

    said: dict[str, object] = {}
    if path is not None:
        said["path"] = _seen_by_platform(path)
    if table is not None:
        said["table"] = table or None
    if option is not None:
        said["options"] = _options([one for one in option if one])
    if not said and format_ is None:
        raise typer.BadParameter("Say what is to change: --path, --table, --format or --option.")
    with session.connect() as connection:
        found = connection.send(client.dataset(ref))
        values: dict[str, object] = {} if format_ is None else {"format": format_ or None}
        if said and found.location is not None:
            values["location"] = {**found.location.model_dump(), **said}
        request = console.checked(models.DatasetChange, values)
        changed = connection.send(client.change(found.id, request))
        _finish(connection, changed, output, no_wait=no_wait)


@datasets.command("probe")
def probe_dataset(
    ref: RefArgument, no_wait: NoWaitOption = False, output: OutputOption = Output.TABLE
) -> None:
    """Look at the source again: columns, rows, sample.

    Example: `atoll datasets probe flights`
    """
    from atoll.datasets import client

    with session.connect() as connection:
        _finish(connection, connection.send(client.probe(ref)), output, no_wait=no_wait)


@datasets.command("grant")
def grant_dataset(
    ref: RefArgument,
    principals: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WHO]...", help="everyone, user:NAME, group:NAME; nobody if none."),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say who besides its owner may use a dataset; replaces what was said before.

    Example: `atoll datasets grant sales user:bo group:finance`
    """
    from atoll.datasets import client, models

    request = console.checked(models.GrantRequest, {"grants": principals or []})
    with session.connect() as connection:
        _print(connection.send(client.grant(ref, request)), output)


@datasets.command("remove")
def remove_dataset(ref: RefArgument, yes: YesOption = False) -> None:
    """Remove a dataset's name, sample and grants; the source is not touched.

    Example: `atoll datasets remove sales`
    """
    from atoll.datasets import client

    console.sure(f"Remove {ref}? The source is not touched.", yes)
    with session.connect() as connection:
        connection.send(client.remove(ref))


def _finish(connection: Connection, found: Dataset, output: Output, *, no_wait: bool) -> None:
    """Wait until the dataset was looked at, show it, and end with 1 where that failed."""
    from atoll.datasets import client, models
    from atoll.kit.progress import progress

    with progress(quiet=no_wait) as report:
        while not no_wait and found.status is models.DatasetStatus.PROBING:
            report(found.message or f"looking at {found.name}")
            time.sleep(_LOOK_S)
            found = connection.send(client.dataset(found.id))
    _print(found, output)
    if found.status in (models.DatasetStatus.FAILED, models.DatasetStatus.STALE):
        raise typer.Exit(Exit.FAILED)


def _print(found: Dataset, output: Output) -> None:
    from atoll.datasets import handle

    if output is Output.JSON:
        console.model(found)
        return
    console.facts(handle.described(found))
    if found.columns:
        typer.echo()
        console.table(handle.COLUMN_HEADINGS, map(handle.column_row, found.columns), "")


def _options(given: list[str]) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for option in given:
        name, separator, value = option.partition("=")
        if not separator:
            raise typer.BadParameter(f"{option!r} is no option: write name=value.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _seen_by_platform(path: str) -> str:
    """A path that is here, on the platform's own machine, in full; any other as it was given."""
    here = Path(path)
    if here.is_absolute() or not session.on_this_machine(session.find().url):
        return path
    if here.exists():
        return str(here.absolute())
    console.say(f"{path!r} is not in {Path.cwd()}; the platform looks for it in its own place.")
    return path
