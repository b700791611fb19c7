"""The whole service as a process: `python -m tests.service.nodes.service_process HOME PORT SETTINGS`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from atoll.apps.service import build
from atoll.apps.settings import ServiceSettings
from atoll.kit.home import Home

from tests.databases import url_of
from tests.listening import listening, server_for

from ..whole import hub, no_flights, served


def main(home: str, port: str, settings: str) -> None:
    place = Home(Path(home))
    with no_flights(), served(hub) as address:
        config = ServiceSettings.model_validate(
            {
                **json.loads(settings),
                "service": {"hub_api_url": f"{address}/hub/api/", "database": url_of(place)},
            }
        )
        server = server_for(build(place, config))
        with listening(int(port)) as ear:
            server.run(sockets=[ear])


if __name__ == "__main__":
    main(*sys.argv[1:])
