"""What the tests hold in their hands: the running service, datasets, and sources."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from atoll.datasets import client
from atoll.datasets.models import Dataset, DatasetRequest, DatasetStatus, Location
from atoll.datasets.service import Datasets
from atoll.datasets.settings import DatasetSettings
from atoll.kit.home import Home
from atoll.kit.http import Call, Connection
from pydantic import JsonValue

from tests.listening import listening, server_for

from .service_under_test import ReadsKept, build

T = TypeVar("T")


def eventually(look: Callable[[], T], until: Callable[[T], bool], within_s: float = 60.0) -> T:
    """What `look` gives as soon as it is as wanted."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if until(found):
            return found
        assert time.monotonic() < deadline, f"still {found!r}"
        time.sleep(0.02)


@dataclass
class Atoll:
    """The service, spoken to as users."""

    url: str
    home: Home
    rules: Datasets
    reads: ReadsKept
    connections: dict[str, Connection] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, call: Call[T], who: str = "ada") -> T:
        """Send a call with somebody's token (the stub's tokens are names)."""
        with self.lock:
            if who not in self.connections:
                self.connections[who] = Connection(self.url, who)
        return self.connections[who].send(call)

    def register(
        self,
        name: str,
        path: str | Path,
        *,
        who: str = "ada",
        table: str | None = None,
        options: dict[str, JsonValue] | None = None,
        grants: list[str] | None = None,
        platform: bool = False,
    ) -> Dataset:
        """Register a dataset."""
        request = DatasetRequest(
            name=name,
            location=Location(path=str(path), table=table, options=options or {}),
            grants=grants or [],
            platform=platform,
        )
        return self.send(client.add(request), who)

    def probed(self, dataset: Dataset | str, who: str = "ada") -> Dataset:
        """The dataset once it is looked at."""
        ref = dataset if isinstance(dataset, str) else dataset.id
        return eventually(
            lambda: self.send(client.dataset(ref), who),
            lambda found: found.status != DatasetStatus.PROBING,
        )

    def added(self, name: str, path: str | Path, *, who: str = "ada", **options: object) -> Dataset:
        """Register a dataset and wait until it is looked at."""
        found = self.register(name, path, who=who, **options)  # type: ignore[arg-type]
        return self.probed(found, who)

    def write(self, name: str, content: str | bytes) -> Path:
        """A file among the data that everybody may register."""
        path = self.home.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def close(self) -> None:
        """Close the connections."""
        for connection in self.connections.values():
            connection.close()


@contextmanager
def serving(home: Home, settings: DatasetSettings) -> Iterator[Atoll]:
    """The service of this home, in a thread."""
    reads = ReadsKept()
    app = build(home, settings, reads)
    server = server_for(app)
    ear = listening()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [ear]})
    thread.start()
    url = f"http://127.0.0.1:{ear.getsockname()[1]}/api/v1/"
    atoll = Atoll(url, home, app.state.datasets, reads)
    try:
        yield atoll
    finally:
        atoll.close()
        server.should_exit = True
        thread.join(20)
        ear.close()
    assert not thread.is_alive()
