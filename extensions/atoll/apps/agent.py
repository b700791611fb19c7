"""`atoll-agent`: the process of a node, and its commands for operators."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from atoll.agent import commands
from atoll.agent.runtimes.choice import RuntimeName
from atoll.kit import console


@commands.app.command("run")
def run(
    service: Annotated[
        str, typer.Option(help="The service's address.", envvar="ATOLL_AGENT_SERVICE")
    ],
    node: Annotated[str, typer.Option(help="This node's name.", envvar="ATOLL_AGENT_NODE")],
    token_file: Annotated[
        Path, typer.Option(help="The file with the agent's token.", envvar="ATOLL_AGENT_TOKEN_FILE")
    ],
    *,
    runtime: commands.RuntimeOption = RuntimeName.AUTO,
    address: commands.AddressOption = None,
    namespace: commands.NamespaceOption = None,
    state: Annotated[
        Path, typer.Option(help="Where locks and notes lie.", envvar="ATOLL_AGENT_STATE")
    ] = Path("/run/atoll-agent"),
) -> None:
    """Save this node's containers as the platform asks, until told to end. Listens on nothing.

    Example: `atoll-agent run --service http://127.0.0.1:8010/services/atoll/ --node here
    --token-file ~/.atoll/secrets/agent-token`
    """
    from atoll.agent.freeze import thaw_leftovers
    from atoll.agent.leftovers import remove_leftovers
    from atoll.agent.priority import be_modest
    from atoll.agent.process import Agent, Service
    from atoll.agent.saving import ContainerSaver
    from atoll.kit import logs

    logs.set_up()
    be_modest()
    thaw_leftovers(state)
    remove_leftovers(state)
    ending = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: ending.set())
    connection = Service(f"{service.rstrip('/')}/api/v1/", token_file)
    Agent(node, connection, ContainerSaver(state, runtime, address, namespace), ending).run()
    connection.close()


def main() -> None:
    """What the console script `atoll-agent` runs."""
    console.run(commands.app)


if __name__ == "__main__":
    main()
