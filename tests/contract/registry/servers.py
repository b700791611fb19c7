"""A real registry on a loopback port, set up as a test wants it: Debian's docker-registry, or ATOLL_REGISTRY."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from atoll.oci.registry_settings import Registry

PROGRAM = os.environ.get("ATOLL_REGISTRY", "docker-registry")
"""Another version of it: the path of distribution's `registry`."""
_START_S = 20.0  # far more than it takes; a machine under load
QUICK = {"connect": 2.0, "silence": 5.0, "patience": 10.0, "backoff": 0.02}
"""Time limits for tests: a failure shows soon."""


@dataclass(frozen=True)
class Running:
    """A registry that runs: its address and where it keeps its blobs."""

    address: str
    storage: Path
    log: Path

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def reached(self, **settings: object) -> Registry:
        """How tests reach it: plain HTTP, no login, short time limits."""
        given: dict[str, object] = {"plain_http": True, **QUICK, **settings}
        return Registry(self.address, **given)  # type: ignore[arg-type]  # by name, as Registry has them

    def blobs(self) -> set[str]:
        """The digests of all blobs that are complete."""
        root = self.storage / "docker/registry/v2/blobs/sha256"
        return {f"sha256:{data.parent.name}" for data in root.glob("*/*/data")}

    def images(self, repository: str) -> set[str]:
        """The digests of all images that the repository shows."""
        root = (
            self.storage / "docker/registry/v2/repositories" / repository / "_manifests/revisions"
        )
        return {f"sha256:{link.parent.name}" for link in root.glob("sha256/*/link")}

    def uploads(self, repository: str) -> list[str]:
        """The uploads that are under way, by id (an ended one may leave an empty directory)."""
        root = self.storage / "docker/registry/v2/repositories" / repository / "_uploads"
        return [data.parent.name for data in root.glob("*/data")]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def started(
    place: Path,
    *,
    storage: Path | None = None,
    http: Mapping[str, object] | None = None,
    auth: Mapping[str, object] | None = None,
    delete: bool = True,
    port: int | None = None,
    within: Sequence[str] = (),
) -> Iterator[Running]:
    """Runs a registry until the block ends; `place` takes its files. `within` is put before its command."""
    place.mkdir(parents=True, exist_ok=True)
    blobs = storage or place / "storage"
    port = port or free_port()
    address = f"127.0.0.1:{port}"
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "info"},
        "storage": {
            "filesystem": {"rootdirectory": str(blobs)},
            "delete": {"enabled": delete},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": address, "secret": "for tests alone", **(http or {})},
    }
    if auth:
        config["auth"] = auth
    (place / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    log = place / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*within, PROGRAM, "serve", str(place / "config.yml")],
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            _wait_for(port, process, log)
            yield Running(address, blobs, log)
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_S
    while True:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < end, "the registry does not listen"
        time.sleep(0.02)
