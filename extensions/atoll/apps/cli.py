"""The `atoll` command: nouns then verbs, put together here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

import atoll
from atoll.apps import account_commands, platform_commands
from atoll.checkpoints.commands import checkpoints, servers
from atoll.datasets.commands import datasets
from atoll.jobs.commands import jobs
from atoll.kit import console

app = typer.Typer(
    name="atoll",
    help="Environments, datasets and jobs of a JupyterHub where stop means saved.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

for noun in (datasets, jobs, checkpoints, servers):
    app.add_typer(noun, rich_help_panel="Data, jobs, environments")

_ACCOUNT: tuple[Callable[..., None], ...] = (
    account_commands.login,
    account_commands.logout,
    account_commands.whoami,
)
_PLATFORM: tuple[Callable[..., None], ...] = (
    platform_commands.up,
    platform_commands.down,
    platform_commands.status,
)
for command in _ACCOUNT:
    app.command(rich_help_panel="Your account")(command)
for command in _PLATFORM:
    app.command(rich_help_panel="The platform on this machine")(command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"atoll {atoll.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Environments, datasets and jobs of a JupyterHub where stop means saved."""


def main() -> None:
    """What the console script `atoll` runs."""
    console.run(app)


if __name__ == "__main__":
    main()
