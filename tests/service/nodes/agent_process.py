"""An agent as a process of its own: `python -m tests.service.nodes.agent_process URL NODE TOKEN ROOT`."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from atoll.agent.process import Agent, Service
from atoll.kit import logs

from .containers import DirectorySaver


def main(url: str, node: str, token_file: str, root: str) -> None:
    logs.set_up()
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    service = Service(url, Path(token_file))
    Agent(node, service, DirectorySaver(Path(root)), ending).run()
    service.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
