"""`atoll servers` and `atoll checkpoints`: servers as the platform keeps them, and what is saved."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import quote

import typer

from atoll.kit import console, session, words
from atoll.kit.console import Exit, Output, OutputOption, YesOption

if TYPE_CHECKING:
    from atoll.checkpoints.models import Changes, Server
    from atoll.kit.http import Connection

servers = console.group("servers", "Your servers: what runs, and whether it is saved.")
checkpoints = console.group("checkpoints", "Saved environments: save, compare, go back.")

ServerArgument = Annotated[
    str, typer.Argument(metavar="[NAME]", help="The server's name; `-` is the default server.")
]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="A checkpoint's id, as listed.")]

_WAIT_S: Final = 20.0  # of one long-poll
_SAVED_WITHIN_S: Final = 24 * 3600.0


@servers.command("list")
def list_servers(output: OutputOption = Output.TABLE) -> None:
    """List your servers.

    Example: `atoll servers list`
    """
    from atoll.checkpoints import client
    from atoll.kit.names import server_segment

    with session.connect() as connection:
        found = connection.every(lambda cursor: client.servers(cursor=cursor))
    if output is Output.JSON:
        console.models(found)
        return
    rows = [
        (
            f"{server.user}/{server_segment(server.name)}",
            server.status.value,
            _saved(server),
            server.message or "",
        )
        for server in found
    ]
    console.table(
        ("Server", "Status", "Saved", ""), rows, "No servers yet: `atoll servers start` starts one."
    )


@servers.command("start")
def start_server(
    name: ServerArgument = "-",
    environment: Annotated[
        str | None,
        typer.Option(help="last (where it stopped), base (fresh), or a checkpoint's digest."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="A profile of the spawn page; the first unless given.")
    ] = None,
) -> None:
    """Start a server, with its environment as it was when it stopped.

    Example: `atoll servers start --environment base`
    """
    from atoll.kit import account
    from atoll.kit.names import server_name
    from atoll.kit.progress import progress

    options = {"environment": environment, "profile": profile}
    given = {option: value for option, value in options.items() if value is not None}
    found = session.find()
    user = found.user or _user(found)
    with progress() as report:
        steps = account.start_server(found.hub_url, found.token, user, server_name(name), given)
        for step in steps:
            report(step.message, step.progress / 100)
    address = found.hub_url.removesuffix("hub/")
    typer.echo(f"{address}user/{quote(user)}/{quote(server_name(name))}")


@servers.command("stop")
def stop_server(
    name: ServerArgument = "-",
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Return at once; it is saved all the same.")
    ] = False,
) -> None:
    """Stop a server and wait until it is saved.

    Example: `atoll servers stop`
    """
    from atoll.checkpoints import client
    from atoll.kit.names import server_name

    found = session.find()
    with found.connect() as connection:
        user = found.user or _user(found)
        server = connection.send(client.stop(user, server_name(name)))
        if not no_wait:
            server = _until_saved(connection, server)
            console.say(server.message or f"Saved {words.ago(server.saved_at)}.")


@servers.command("discard")
def discard_unsaved(name: ServerArgument = "-", yes: YesOption = False) -> None:
    """Give up what a stopped server changed and could not be saved; its last checkpoint stays.

    Example: `atoll servers discard`
    """
    from atoll.checkpoints import client
    from atoll.kit.names import server_name

    shown = f"the server {name!r}" if server_name(name) else "the default server"
    console.sure(f"Discard what {shown} has not saved? It cannot be brought back.", yes)
    found = session.find()
    with found.connect() as connection:
        user = found.user or _user(found)
        server = connection.send(client.discard(user, server_name(name)))
    console.say(server.message or "Nothing is unsaved.")


@servers.command("orphans")
def list_orphans(output: OutputOption = Output.TABLE) -> None:
    """List pods and volumes of a cluster that belong to nobody any more. For administrators.

    Example: `atoll servers orphans`
    """
    from atoll.checkpoints import client

    with session.connect() as connection:
        found = connection.send(client.orphans()).items
    if output is Output.JSON:
        console.models(found)
        return
    rows = [(one.kind.value, f"{one.namespace}/{one.name}", one.user, one.reason) for one in found]
    console.table(("Kind", "Name", "User", ""), rows, "Nothing is left behind.")


def _until_saved(connection: Connection, server: Server) -> Server:
    from atoll.checkpoints import client
    from atoll.checkpoints.models import ServerStatus
    from atoll.kit.progress import progress

    deadline = time.monotonic() + _SAVED_WITHIN_S
    with progress() as report:
        while server.status not in (ServerStatus.SAVED, ServerStatus.FRESH):
            done = server.progress
            report(
                server.message or f"{server.status.value}: {words.size(done.done)}",
                min(1.0, done.done / done.total) if done.total else None,
            )
            if time.monotonic() > deadline:
                raise typer.Exit(Exit.TIMED_OUT)
            server = connection.send(
                client.server(server.user, server.name, version=server.version, wait_s=_WAIT_S)
            )
    return server


@checkpoints.command("list")
def list_checkpoints(
    server: Annotated[
        str | None, typer.Option(help="Of this server alone; `-` is the default server.")
    ] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="Those of others, which they share with you.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """List what is saved, newest first.

    Example: `atoll checkpoints list --server -`
    """
    from atoll.checkpoints import client, handle
    from atoll.kit.names import server_name

    which = None if server is None else server_name(server)
    with session.connect() as connection:
        found = connection.every(
            lambda cursor: client.checkpoints(server=which, shared=shared, cursor=cursor)
        )
    if output is Output.JSON:
        console.models(found)
        return
    if shared:
        empty = "Nobody shares an environment with you."
        console.table(handle.SHARED_HEADINGS, map(handle.shared_row, found), empty)
        return
    empty = "Nothing is saved yet: `atoll checkpoints save` saves a running server."
    console.table(handle.HEADINGS, map(handle.row, found), empty)


@checkpoints.command("save")
def save_checkpoint(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="The server; the one this runs in unless given."),
    ] = None,
    note: Annotated[str, typer.Option("--note", "-m", help="What it is, for later.")] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Save a running server now, without stopping it.

    Example: `atoll checkpoints save --note "before the upgrade"`
    """
    from atoll.checkpoints import handle
    from atoll.kit.names import server_name

    with session.connect() as connection:
        found = handle.save(connection, None if name is None else server_name(name), note)
    if output is Output.JSON:
        console.model(found)
    else:
        typer.echo(found.id)
        console.say(f"Saved: {words.size(found.layer_size)} new.")


@checkpoints.command("show")
def show_checkpoint(id_: IdArgument, output: OutputOption = Output.TABLE) -> None:
    """Show one checkpoint.

    Example: `atoll checkpoints show k-0192f0c1a2b3c4d5e6f7a8`
    """
    from atoll.checkpoints import client, handle

    with session.connect() as connection:
        found = connection.send(client.checkpoint(id_))
    if output is Output.JSON:
        console.model(found)
    else:
        console.facts(handle.described(found))


@checkpoints.command("changes")
def show_changes(
    id_: IdArgument,
    against: Annotated[
        str, typer.Option(help="base, parent, or another checkpoint's id.")
    ] = "base",
    output: OutputOption = Output.TABLE,
) -> None:
    """What differs: packages, and other files by directory.

    Example: `atoll checkpoints changes k-0192f0c1a2b3c4d5e6f7a8 --against parent`
    """
    from atoll.checkpoints import client

    with session.connect() as connection:
        found = connection.send(client.changes(id_, against))
    if output is Output.JSON:
        console.model(found)
    else:
        _print_changes(found, against)


def _print_changes(found: Changes, against: str) -> None:
    from atoll.checkpoints import handle

    for change in found.packages:
        typer.echo(handle.package(change))
    rows = [
        (change.path, words.count(change.files, "file"), words.size(change.size))
        for change in found.directories
    ]
    if rows or not found.packages:
        console.table(("Directory", "Files", "Size"), rows, f"Nothing differs from {against}.")


@checkpoints.command("restore")
def restore_checkpoint(
    id_: IdArgument,
    stop: Annotated[
        bool, typer.Option("--stop", help="Stop the running server now; it is saved first.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Go back: the server's next start begins from this checkpoint.

    What it is now is saved first, so going back can be undone the same way.

    Example: `atoll checkpoints restore k-0192f0c1a2b3c4d5e6f7a8 --stop`
    """
    from atoll.checkpoints import client

    with session.connect() as connection:
        found = connection.send(client.restore(id_, stop=stop))
    if output is Output.JSON:
        console.model(found)
    else:
        said = found.message or "The server's next start begins from this checkpoint."
        console.say(f"{said} The server is being stopped." if stop else said)


@checkpoints.command("rebase")
def rebase_checkpoint(
    id_: IdArgument,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Return at once; the rebase goes on.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Install what a checkpoint has over the platform's newest base: a checkpoint of its own.

    A job of yours does it. What cannot be brought over is listed; the old one stays as it is.

    Example: `atoll checkpoints rebase k-0192f0c1a2b3c4d5e6f7a8`
    """
    from atoll.checkpoints import client, handle

    with session.connect() as connection:
        asked = client.rebase(id_)
        found = connection.send(asked) if no_wait else handle.rebase(connection, id_)
    if output is Output.JSON:
        console.model(found)
        return
    typer.echo(found.id)
    if found.status.final:
        for left in found.left_out:
            console.say(f"Not in it: {left.path}: {left.reason}")
        console.say(f"Rebased. `atoll checkpoints restore {found.id}` goes over to it.")


@checkpoints.command("cancel")
def cancel_checkpoint(id_: IdArgument) -> None:
    """Stop a save that is under way. What is saved already stays as it is.

    Example: `atoll checkpoints cancel k-0192f0c1a2b3c4d5e6f7a8`
    """
    from atoll.checkpoints import client

    with session.connect() as connection:
        found = connection.send(client.cancel(id_))
    console.say(found.message or found.status.value)


PrincipalOption = Annotated[
    str, typer.Option("--with", metavar="WHOM", help="user:NAME, group:NAME or everyone.")
]


@checkpoints.command("share")
def share_checkpoint(id_: IdArgument, principal: PrincipalOption) -> None:
    """Let a user, a group or everyone start from a checkpoint of yours.

    They start with everything in it but your home, and go on in environments of their own.

    Example: `atoll checkpoints share k-0192f0c1a2b3c4d5e6f7a8 --with group:modelers`
    """
    from atoll.checkpoints import client

    with session.connect() as connection:
        found = connection.send(client.share(id_, principal))
    console.say(f"Shared with {', '.join(found.shared_with)}.")


@checkpoints.command("unshare")
def unshare_checkpoint(id_: IdArgument, principal: PrincipalOption) -> None:
    """Share a checkpoint no more. What somebody has started from it stays theirs.

    Example: `atoll checkpoints unshare k-0192f0c1a2b3c4d5e6f7a8 --with everyone`
    """
    from atoll.checkpoints import client

    with session.connect() as connection:
        found = connection.send(client.take_back(id_, principal))
    left = ", ".join(found.shared_with)
    console.say(f"Still shared with {left}." if left else "It is shared with nobody.")


@checkpoints.command("delete")
def delete_checkpoint(id_: IdArgument, yes: YesOption = False) -> None:
    """Delete a checkpoint that nothing needs.

    Example: `atoll checkpoints delete k-0192f0c1a2b3c4d5e6f7a8`
    """
    from atoll.checkpoints import client

    console.sure(f"Delete {id_}? It cannot be brought back.", yes)
    with session.connect() as connection:
        connection.send(client.delete(id_))


def _user(found: session.Session) -> str:
    from atoll.kit import account

    with found.connect() as connection:
        return connection.send(account.me()).name


def _saved(server: Server) -> str:
    unsaved = server.unsaved.count if server.unsaved is not None else 0
    return f"{words.count(unsaved, 'unsaved change')}" if unsaved else words.ago(server.saved_at)
