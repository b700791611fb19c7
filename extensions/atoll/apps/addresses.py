"""Where the parts of one platform listen: the public address, and ports of their own inside."""

from __future__ import annotations

import errno
import json
import random
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from atoll.kit.errors import ConflictError
from atoll.kit.home import Home

_RANGE_FILE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOW: Final = 10_000
_HIGH: Final = 32_768  # where Linux begins with the ports of outgoing connections
_TRIES: Final = 200


class Inside(BaseModel, frozen=True):
    """The ports that only this machine's processes use; kept, since running servers know them."""

    hub: int
    proxy_api: int
    service: int


class Addresses(BaseModel, frozen=True):
    """Every address of one platform."""

    host: str
    port: int
    inside: Inside

    @property
    def url(self) -> str:
        """What people open."""
        host = "127.0.0.1" if self.host in ("", "0.0.0.0", "::") else self.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    @property
    def hub_api(self) -> str:
        """The hub's API, reached directly."""
        return f"http://127.0.0.1:{self.inside.hub}/hub/api/"

    @property
    def service(self) -> str:
        """The service, reached directly."""
        return f"http://127.0.0.1:{self.inside.service}/services/atoll/"


def inside(home: Home, *, keep: bool) -> Inside:
    """The inner ports: those of last time where they are free or `keep` says that they are ours."""
    path = home.run / "ports.json"
    try:
        last = Inside.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        last = None
    if last is not None and (keep or all(is_free("127.0.0.1", p) for p in ports(last))):
        return last
    hub, proxy_api, service = choose(3)
    chosen = Inside(hub=hub, proxy_api=proxy_api, service=service)
    draft = path.with_suffix(".draft")
    draft.write_text(chosen.model_dump_json(), "utf-8")
    draft.replace(path)
    return chosen


def ports(chosen: Inside) -> list[int]:
    """All of them."""
    values: list[int] = list(json.loads(chosen.model_dump_json()).values())
    return values


def check_public(host: str, port: int) -> None:
    """Raise ConflictError where the public port is somebody else's."""
    if not is_free(host, port):
        raise ConflictError(
            f"Port {port} is in use by another program.",
            hint="Choose another one: `make up PORT=…`, `atoll up --port …`, or `port` in [up].",
        )


def is_free(host: str, port: int) -> bool:
    """Whether one could listen there now. Raises ConflictError where the host is not ours."""
    try:
        with socket.create_server((host, port), family=_family(host)):
            return True
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            return False
        raise ConflictError(
            f"This machine cannot listen on {host}: {error.strerror}.",
            hint="Correct `host` in [up]; 127.0.0.1 is this machine alone.",
        ) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def choose(count: int) -> list[int]:
    """Free ports below those of outgoing connections, which could take a port while a part is
    being restarted."""
    high = _HIGH
    with suppress(FileNotFoundError, ValueError, IndexError):  # not Linux: the usual value
        high = max(_LOW + 1000, int(_RANGE_FILE.read_text("ascii").split()[0]))
    found: list[int] = []
    for port in random.sample(range(_LOW, high), _TRIES):
        if is_free("127.0.0.1", port):
            found.append(port)
        if len(found) == count:
            return found
    raise ConflictError("No free ports are left on this machine.")
