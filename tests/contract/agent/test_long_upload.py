"""A save that takes longer than its push token is good: the service gives its agent another one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import jwt
import pytest
from atoll.checkpoints.models import CheckpointStatus
from atoll.checkpoints.settings import NodeSettings

from tests.contract.agent.agents import HERE
from tests.contract.agent.node import Node
from tests.contract.agent.world import World, whole_world
from tests.contract.registry.faults import Passing, answers, proxy
from tests.contract.registry.servers import Running

TOKEN_S: Final = 5.0
PIECE_S: Final = 2.5  # four of them are two tokens' lives
METHODS: Final = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


@dataclass
class Strict:
    """In front of the registry, which takes tokens for a minute past their end: here they end when they do.

    Pieces of an upload are slow.
    """

    ends: list[float] = field(default_factory=list)  # of the tokens of uploads' pieces
    refused: int = 0

    def __call__(self, passing: Passing) -> None:
        token = passing.headers.get("authorization", "").removeprefix("Bearer ")
        ends = jwt.decode(token, options={"verify_signature": False})["exp"] if token else 0
        if time.time() > ends:
            self.refused += 1
            answers(401, www_authenticate='Bearer realm="http://127.0.0.1:1/token"')(passing)
            return
        if passing.command == "PATCH":
            self.ends.append(ends)
            time.sleep(PIECE_S)
        passing.relay(passing.passed_on())


@pytest.fixture
def strict() -> Strict:
    return Strict()


@pytest.fixture
def world(node: Node, strict: Strict, tmp_path: Path) -> Iterator[World]:
    nodes = NodeSettings(name=HERE, look_every_s=3600, lease_s=3)  # of which a third is told
    with ExitStack() as stack:

        def before(registry: Running) -> str:
            faults = stack.enter_context(proxy(registry.port))
            for method in METHODS:
                faults.on(method, "", strict, times=1_000_000)
            return faults.address

        yield stack.enter_context(
            whole_world(node, tmp_path, nodes=nodes, token_s=TOKEN_S, address=before)
        )


def test_the_token_of_a_long_upload_is_renewed_before_it_ends(
    world: World, node: Node, strict: Strict
) -> None:
    node.load_base()
    container = node.run("head -c 34000000 /dev/urandom > /srv/big", wait=True)
    digest = world.runtime.find(container).image.digest
    world.begin("", container, f"registry.example/base@{digest}")
    began = time.time()
    world.asked("")
    with world.agents.running():
        saved = world.final("")

    assert (saved.status, saved.message) == (CheckpointStatus.READY, None)
    assert time.time() - began > TOKEN_S
    assert len(strict.ends) >= 4
    assert len(set(strict.ends)) >= 2
    assert min(strict.ends) < time.time() - PIECE_S
    assert strict.refused == 0
    assert world.good(str(saved.digest))
    node.remove(container)
