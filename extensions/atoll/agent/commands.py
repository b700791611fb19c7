"""`atoll-agent commit` and `atoll-agent diff`: saving a container by hand, on its own node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from atoll.agent.runtimes.choice import RuntimeName
from atoll.kit import console, words
from atoll.kit.console import Output, OutputOption

if TYPE_CHECKING:
    from atoll.agent.models import SaveReport

app = typer.Typer(
    name="atoll-agent",
    help="Save containers of this node as images, and see what they changed. Needs root.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

ContainerArgument = Annotated[
    str,
    typer.Argument(help="An id, the beginning of one, a name, or namespace/pod/container."),
]
RuntimeOption = Annotated[RuntimeName, typer.Option(help="Whose container it is.")]
AddressOption = Annotated[
    Path | None, typer.Option(help="The runtime's socket, where it is not the usual one.")
]
NamespaceOption = Annotated[
    str | None, typer.Option(help="containerd's namespace; k8s.io and default are tried.")
]


class Packing(StrEnum):
    """How layers are compressed."""

    AUTO = "auto"
    ZSTD = "zstd"
    GZIP = "gzip"


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    container: str
    image: str
    live: bool
    shared: bool
    layout: Path | None
    plain_http: bool
    compression: Packing
    runtime: RuntimeName
    address: Path | None
    namespace: str | None
    state: Path


_MOST_LINES: Final = 20  # of a list for people; --output json has everything


@app.command("commit")
def commit(
    container: ContainerArgument,
    image: Annotated[str, typer.Argument(help="host/repository:tag, or a name in --layout.")],
    *,
    live: Annotated[
        bool,
        typer.Option("--live", help="It runs: freeze it for a moment to save it as it is then."),
    ] = False,
    shared: Annotated[
        bool, typer.Option("--shared", help="Others may use the image: refuse likely secrets.")
    ] = False,
    layout: Annotated[
        Path | None, typer.Option(help="Save into this OCI image layout, not into a registry.")
    ] = None,
    plain_http: Annotated[
        bool, typer.Option("--plain-http", help="The registry speaks HTTP without TLS.")
    ] = False,
    compression: Annotated[
        Packing,
        typer.Option(help="Of layers; auto: gzip where the container's runtime reads no zstd."),
    ] = Packing.AUTO,
    runtime: RuntimeOption = RuntimeName.AUTO,
    address: AddressOption = None,
    namespace: NamespaceOption = None,
    state: Annotated[
        Path, typer.Option(help="Where locks and notes lie.", envvar="ATOLL_AGENT_STATE")
    ] = Path("/run/atoll-agent"),
    output: OutputOption = Output.TABLE,
) -> None:
    """Save a container: its own image, and what it changed as one layer more.

    Example: `atoll-agent commit notebooks/jupyter-ada/notebook registry.example/ada:evening`
    """
    told = _save(
        Request(
            container=container,
            image=image,
            live=live,
            shared=shared,
            layout=layout,
            plain_http=plain_http,
            compression=compression,
            runtime=runtime,
            address=address,
            namespace=namespace,
            state=state,
        )
    )
    if output is Output.JSON:
        console.model(told)
    else:
        _print(told)


@app.command("diff")
def diff(
    container: ContainerArgument,
    runtime: RuntimeOption = RuntimeName.AUTO,
    address: AddressOption = None,
    namespace: NamespaceOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show what a container has otherwise than its image. Nothing is saved, or stopped.

    Example: `atoll-agent diff notebooks/jupyter-ada/notebook`
    """
    from atoll.agent.copying import source_of
    from atoll.agent.models import difference
    from atoll.agent.priority import be_modest
    from atoll.agent.runtimes.choice import runtime_of

    be_modest()
    with (
        _sentences(),
        runtime_of(container, runtime, address=address, namespace=namespace) as (_, which),
    ):
        found = difference(which, source_of(which))
    if output is Output.JSON:
        console.model(found)
        return
    rows = [(entry.kind, "/" + entry.path, words.size(entry.size)) for entry in found.entries]
    console.table(("Kind", "Path", "Size"), rows, "Nothing differs from the image.")
    packages = [
        (one.kind.value, one.name, one.before or "", one.after or "")
        for one in found.changes.packages
    ]
    if packages:
        console.table(("Packages", "Name", "Before", "Now"), packages, "")
    console.say(f"{words.count(len(rows), 'change')}, {words.size(found.size)}.")


def _save(asked: Request) -> SaveReport:
    from atoll.agent import commit as saving
    from atoll.agent.copying import Wishes
    from atoll.agent.freeze import thaw_leftovers
    from atoll.agent.models import report
    from atoll.agent.priority import be_modest
    from atoll.agent.runtimes.choice import runtime_of
    from atoll.agent.target import base_elsewhere, target_of
    from atoll.kit.progress import progress
    from atoll.oci.image import packing

    be_modest()
    thaw_leftovers(asked.state)
    with (
        _sentences(),
        target_of(asked.image, layout=asked.layout, plain_http=asked.plain_http) as target,
        runtime_of(
            asked.container, asked.runtime, address=asked.address, namespace=asked.namespace
        ) as (runtime, found),
        base_elsewhere(found.image.name, plain_http=asked.plain_http) as elsewhere,
        progress() as bar,
    ):
        saved = saving.commit(
            runtime,
            found.id,
            target.store,
            target.name,
            live=asked.live,
            state=asked.state,
            wishes=Wishes(
                shared=asked.shared,
                compression=packing(asked.compression),
                progress=lambda done: bar(f"Saving: {words.size(done)}"),
            ),
            elsewhere=elsewhere,
        )
    return report(saved, target.shown)


def main() -> None:
    """What the console script `atoll-agent` runs."""
    console.run(app)


def _print(told: SaveReport) -> None:
    typer.echo(told.digest)
    frozen = f", frozen {told.frozen_ms:.0f} ms" if told.frozen_ms else ""
    console.say(
        f"Saved as {told.image}: {words.count(told.entries, 'change')}, {words.size(told.size)}"
        f" ({words.size(told.packed)} packed) in {told.seconds:.1f} s{frozen}."
        if told.layers
        else f"Nothing had changed: {told.image} is the container's own image."
    )
    for path in told.secrets[:_MOST_LINES]:
        console.say(f"Looks like a secret: /{path.path} ({path.reason}).")
    for torn in told.torn[:_MOST_LINES]:
        console.say(f"Written to while it was saved: /{torn}.")
    if told.left_out:
        console.say(
            f"{words.count(len(told.left_out), 'path')} left out: --output json lists them."
        )


@contextmanager
def _sentences() -> Iterator[None]:
    """Errors of images and stores as the platform's, which become a sentence and an exit status."""
    from atoll import oci
    from atoll.agent.translated import as_atoll

    try:
        yield
    except oci.OciError as error:
        raise as_atoll(error) from error
