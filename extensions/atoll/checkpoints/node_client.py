"""Calls of a node's agent to the service."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from atoll.checkpoints.node_models import (
    LookResult,
    ProgressAnswer,
    ProgressReport,
    SaveResult,
)
from atoll.kit.http import Call

_SLACK_S: Final = 10.0  # beyond a long-poll's wait, for the answer itself


def work(node: str, wait_s: float) -> Call[bytes]:
    """What to do next as an `Order` in JSON; nothing where there is none within `wait_s`."""
    path = f"{_node(node)}/work"
    return Call("GET", path, bytes, params={"wait": int(wait_s)}, timeout_s=wait_s + _SLACK_S)


def progress(node: str, id_: str, report: ProgressReport) -> Call[ProgressAnswer]:
    """How far a save is."""
    path = f"{_node(node)}/saves/{quote(id_, safe='')}/progress"
    return Call("POST", path, ProgressAnswer, body=report)


def result(node: str, id_: str, body: SaveResult) -> Call[None]:
    """How a save ended."""
    path = f"{_node(node)}/saves/{quote(id_, safe='')}/result"
    return Call("POST", path, type(None), body=body)


def looked(node: str, body: LookResult) -> Call[None]:
    """What a look at a container saw."""
    return Call("POST", f"{_node(node)}/looks", type(None), body=body)


def _node(node: str) -> str:
    return f"nodes/{quote(node, safe='')}"
