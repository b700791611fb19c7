"""`atoll up`, `down` and `status`: the platform on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atoll.kit import console
from atoll.kit.console import Exit, Output, OutputOption

if TYPE_CHECKING:
    from atoll.kit.home import Home

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="The platform's state directory; ATOLL_HOME or ~/.atoll unless given.",
        file_okay=False,
    ),
]


def _home(path: Path | None) -> Home:
    from atoll.kit.home import Home

    return Home(path.absolute()) if path is not None else Home.find()


def up(
    home: HomeOption = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Where browsers reach the platform.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once the platform is up; `atoll down` ends it.")
    ] = False,
) -> None:
    """Start the platform on this machine and print the link to it.

    Example: `atoll up --port 8000 --detach`
    """
    from atoll.apps import up as platform

    raise typer.Exit(platform.up(_home(home), port, detach))


def down(
    home: HomeOption = None,
    stop_jobs: Annotated[
        bool, typer.Option("--stop-jobs", help="End running jobs too; else they run on.")
    ] = False,
) -> None:
    """Stop the servers, save them, and end the platform.

    Example: `atoll down`
    """
    from atoll.apps import up as platform

    raise typer.Exit(platform.down(_home(home), stop_jobs))


def status(home: HomeOption = None, output: OutputOption = Output.TABLE) -> None:
    """What of the platform runs on this machine. Exit status 0 where it is up, else 1.

    Example: `atoll status --output json`
    """
    from atoll.apps import up as platform
    from atoll.apps.platform_state import Phase

    place = _home(home)
    if output is Output.TABLE:
        raise typer.Exit(platform.status(place))
    found = platform.look(place)
    console.model(found)
    raise typer.Exit(Exit.OK if found.phase is Phase.READY else Exit.FAILED)
