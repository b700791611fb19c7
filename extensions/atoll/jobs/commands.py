"""`atoll jobs`: run notebooks on the platform, follow them, get what they made."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atoll.kit import console, session
from atoll.kit.console import Exit, Output, OutputOption, YesOption

if TYPE_CHECKING:
    from atoll.jobs.models import Job

jobs = console.group("jobs", "Notebooks run by the platform: submit, follow, fetch the output.")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="A job's id, as listed.")]

ParameterOption = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-p", help="name=value, typed as papermill does."),
]
LimitOption = Annotated[
    str | None, typer.Option("--timeout", help="End it after this long, such as 90s, 30m or 2h.")
]
RawOption = Annotated[
    list[str] | None, typer.Option("--parameter-raw", "-r", help="name=value, kept as text.")
]
EnvironmentOption = Annotated[
    str,
    typer.Option(help="server (saved on the spot), last (its last checkpoint), base, or a digest."),
]
MemoryOption = Annotated[str | None, typer.Option(help="Memory, such as 4G; in a cluster alone.")]
FilesOption = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="PATH", help="A file or folder, from the notebook's folder."),
]


@jobs.command("submit")
def submit_job(
    notebook: Annotated[Path, typer.Argument(metavar="NOTEBOOK", help="An .ipynb file.")],
    *,
    parameter: ParameterOption = None,
    raw: RawOption = None,
    environment: EnvironmentOption = "server",
    server: Annotated[
        str | None, typer.Option(help="Whose environment; `-` is the default server.")
    ] = None,
    queue: Annotated[str, typer.Option(help="The queue it waits in.")] = "default",
    timeout: LimitOption = None,
    retries: Annotated[int, typer.Option(help="Run it again so often where it fails.")] = 0,
    name: Annotated[str | None, typer.Option(help="What to call it; the file's name.")] = None,
    cpu: Annotated[float | None, typer.Option(help="CPUs; in a cluster alone.")] = None,
    memory: MemoryOption = None,
    gpu: Annotated[int | None, typer.Option(help="GPUs; in a cluster alone.")] = None,
    files: FilesOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="As `atoll jobs wait`.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Run a notebook as a job; prints the job's id.

    Given files with --with, it starts in a directory with just these, as they are now.

    Example: `atoll jobs submit report.ipynb -p year=2013 -p carrier=UA --timeout 30m`
    """
    from atoll.jobs import client, handle, submission

    typed = submission.assignments(parameter or [])
    request = submission.request(
        notebook,
        typed | submission.assignments(raw or [], raw=True),
        environment=environment,
        server=server,
        queue=queue,
        timeout_s=None if timeout is None else submission.seconds(timeout),
        retries=retries,
        name=name,
        cpu=cpu,
        memory=memory,
        gpu=gpu,
        files=files or (),
        tell=console.say,
    )
    submission.check_typed(request.notebook, typed)
    with session.connect() as connection:
        found = connection.send(client.submit(request))
        _tell_unused(found)
        if output is Output.TABLE:
            typer.echo(found.id)
        if wait:
            found = handle.wait(connection, found)
    if output is Output.JSON:
        console.model(found)
    elif wait:
        console.say(handle.sentence(found))
    if wait:
        raise typer.Exit(_exit(found.status))


@jobs.command("list")
def list_jobs(
    status: Annotated[
        str | None, typer.Option(help="queued, running, succeeded, failed, stopped, …")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the notebook of this name.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """List your jobs, newest first.

    Example: `atoll jobs list --status failed`
    """
    from atoll.jobs import client, handle, submission

    wanted = submission.status(status) if status is not None else None
    with session.connect() as connection:
        found = connection.every(
            lambda cursor: client.jobs(
                status=wanted, name=name, cursor=cursor, limit=min(limit, 200)
            ),
            limit,
        )
    if output is Output.JSON:
        console.models(found)
        return
    empty = "No jobs: `atoll jobs submit NOTEBOOK` runs one."
    console.table(handle.HEADINGS, map(handle.row, found), empty)


@jobs.command("show")
def show_job(id_: IdArgument, output: OutputOption = Output.TABLE) -> None:
    """Show one job: how it stands, its parameters and environment.

    Example: `atoll jobs show j-0192f0c1a2b3c4d5e6f7a8`
    """
    from atoll.jobs import client, handle

    with session.connect() as connection:
        found = connection.send(client.job(id_))
        if output is Output.JSON:
            console.model(found)
            return
        datasets = handle.dataset_names(connection, found)
    console.facts([("Notebook", found.name), *handle.described(found, datasets)])


@jobs.command("logs")
def show_logs(
    id_: IdArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job is over.")
    ] = False,
) -> None:
    """Print a job's log.

    Example: `atoll jobs logs j-0192f0c1a2b3c4d5e6f7a8 --follow`
    """
    from atoll.jobs import handle

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    with session.connect() as connection:
        handle.follow_log(connection, id_, write, follow=follow)


@jobs.command("wait")
def wait_for_job(
    id_: IdArgument,
    timeout: Annotated[
        str | None, typer.Option(help="Give up after this long (exit status 124).")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Wait until a job is over. Exit status: 0 succeeded, 1 failed, 7 stopped, 124 not over yet.

    Example: `atoll jobs wait j-0192f0c1a2b3c4d5e6f7a8 --timeout 10m`
    """
    from atoll.jobs import client, handle, submission

    with session.connect() as connection:
        found = connection.send(client.job(id_))
        try:
            within = None if timeout is None else submission.seconds(timeout)
            found = handle.wait(connection, found, within)
        except TimeoutError as error:
            console.say(str(error))
            raise typer.Exit(Exit.TIMED_OUT) from None
    if output is Output.JSON:
        console.model(found)
    else:
        console.say(handle.sentence(found))
    raise typer.Exit(_exit(found.status))


@jobs.command("output")
def fetch_output(
    id_: IdArgument,
    to: Annotated[
        Path | None, typer.Option("--to", help="The file to write; standard output unless given.")
    ] = None,
    text: Annotated[
        bool, typer.Option("--text", help="Only what the cells printed and showed as text.")
    ] = False,
) -> None:
    """Fetch a job's output notebook, also while it runs.

    Example: `atoll jobs output j-0192f0c1a2b3c4d5e6f7a8 --to report-2013.ipynb`
    """
    from atoll.jobs import client, handle

    with session.connect() as connection:
        content = connection.send(client.output(id_))
    found = handle.OutputNotebook.parse(content)
    if text:
        typer.echo(found.text)
    elif to is not None:
        typer.echo(found.save(to))
    else:
        sys.stdout.buffer.write(content)


@jobs.command("stop")
def stop_job(id_: IdArgument) -> None:
    """Stop a job, and what runs it again; what it made so far is kept.

    Example: `atoll jobs stop j-0192f0c1a2b3c4d5e6f7a8`
    """
    from atoll.jobs import handle

    with session.connect() as connection:
        asked = handle.stop(connection, id_)
        found = handle.wait(connection, asked)
    said = handle.sentence(found)
    console.say(f"It had ended already: {said}" if asked.status.final else said)


@jobs.command("again")
def run_again(id_: IdArgument, output: OutputOption = Output.TABLE) -> None:
    """Run a job's notebook once more with the same parameters; prints the new job's id.

    Example: `atoll jobs again j-0192f0c1a2b3c4d5e6f7a8`
    """
    from atoll.jobs import client

    with session.connect() as connection:
        found = connection.send(client.again(id_))
    _tell_unused(found)
    if output is Output.JSON:
        console.model(found)
    else:
        typer.echo(found.id)


@jobs.command("delete")
def delete_job(id_: IdArgument, yes: YesOption = False) -> None:
    """Delete a job that is over, with its log and output.

    Example: `atoll jobs delete j-0192f0c1a2b3c4d5e6f7a8`
    """
    from atoll.jobs import client

    console.sure(f"Delete {id_} with its log and output?", yes)
    with session.connect() as connection:
        connection.send(client.delete(id_))


def _tell_unused(found: Job) -> None:
    from atoll.jobs import handle

    if (told := handle.unused(found)) is not None:
        console.say(told)


def _exit(status: str) -> Exit:
    return {"succeeded": Exit.OK, "stopped": Exit.STOPPED}.get(status, Exit.FAILED)
