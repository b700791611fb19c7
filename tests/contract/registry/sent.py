"""What a registry sent to whom, as its log of requests says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tests.contract.registry.servers import Running

_ANSWER: Final = re.compile(r'"GET /v2/\S+/(manifests|blobs)/(sha256:\w+) HTTP/1\.1" 200 (\d+) ')


@dataclass(frozen=True)
class Sent:
    """A manifest or a blob that went out; a HEAD sends nothing."""

    kind: str
    digest: str
    size: int  # bytes of the answer


def sent(registry: Running, after: int = 0) -> list[Sent]:
    """All of it since the registry's log was so many bytes long."""
    with registry.log.open() as log:
        log.seek(after)
        found = _ANSWER.findall(log.read())
    return [Sent(kind, digest, int(size)) for kind, digest, size in found]
