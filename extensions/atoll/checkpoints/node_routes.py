"""The HTTP side of agents: work for one node, how far it is, how it ended."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ValidationError

from atoll.checkpoints.agents import Authenticator
from atoll.checkpoints.node_models import (
    RESULT_MOST,
    LookOrder,
    LookResult,
    Order,
    ProgressAnswer,
    ProgressReport,
    SaveOrder,
    SaveResult,
)
from atoll.checkpoints.nodes import Nodes
from atoll.kit import web
from atoll.kit.errors import ForbiddenError, InvalidError, NotFoundError

router = APIRouter(prefix="/api/v1/nodes/{node}", tags=["nodes"])

_WAIT_MOST_S: Final = 25.0  # below the time-outs of the usual proxies
_LOOK_S: Final = 0.5  # after which it is looked again whatever happens
_STEP_S: Final = 0.05  # how soon what this process wrote is looked at

M = TypeVar("M", bound=BaseModel)


async def _node_of(request: Request, node: str) -> str:
    """The node whose agent calls; it must be the one that the path names."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    agents: Authenticator = request.app.state.agents
    known = await agents.node(token.strip()) if scheme.lower() in ("token", "bearer") else None
    if known is None:
        await web.identified(request)  # raises where it is nobody's token at all
        raise ForbiddenError(
            "This is for the agents of nodes.", hint="Saves are asked for with POST checkpoints."
        )
    if known != node:
        raise NotFoundError("There is no such node.")
    return known


def _rules(request: Request) -> Nodes:
    nodes: Nodes = request.app.state.checkpoints.nodes
    return nodes


OwnNode = Annotated[str, Depends(_node_of)]
Rules = Annotated[Nodes, Depends(_rules)]
Wait = Annotated[float, Query(ge=0, le=_WAIT_MOST_S, description="seconds to wait for it at most")]


async def _told(request: Request, model: type[M]) -> M:
    """The request's body, which is not read further than a result can be long."""
    web.take(request, RESULT_MOST)
    content = await request.body()
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in one['loc'])[:200]}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)[:10]
        ]
        raise InvalidError("; ".join(problems) + ".") from error


@router.get("/work", response_model=Order, responses={204: {"description": "Nothing to do"}})
async def next_work(
    request: Request, node: OwnNode, rules: Rules, wait: Wait = 0
) -> Response | SaveOrder | LookOrder:
    """What this node's agent is to do: a save, leased to it, or a look; 204 where there is nothing."""
    deadline = time.monotonic() + wait
    commits, next_look = -1, 0.0
    while True:
        moment = time.monotonic()
        if rules.commits != commits or moment >= next_look:
            commits, next_look = rules.commits, moment + _LOOK_S
            found = await asyncio.to_thread(rules.work, node)
            if found is not None:
                return found
        if moment >= deadline:
            return Response(status_code=204)
        await asyncio.sleep(min(_STEP_S, deadline - moment))
        if await request.is_disconnected():  # nothing is leased to an agent that is gone
            return Response(status_code=204)


@router.post("/saves/{id}/progress")
async def tell_progress(
    request: Request,
    node: OwnNode,
    rules: Rules,
    id: str,  # noqa: A002  # the path's
) -> ProgressAnswer:
    """How far the save is; renews its lease. The answer says whether to stop."""
    report = await _told(request, ProgressReport)
    return await asyncio.to_thread(rules.progress, node, id, report)


@router.post("/saves/{id}/result", status_code=204)
async def tell_result(
    request: Request,
    node: OwnNode,
    rules: Rules,
    id: str,  # noqa: A002  # the path's
) -> None:
    """How the save ended."""
    result = await _told(request, SaveResult)
    await asyncio.to_thread(rules.finish, node, id, result)


@router.post("/looks", status_code=204)
async def tell_look(request: Request, node: OwnNode, rules: Rules) -> None:
    """What a look at a running container saw."""
    result = await _told(request, LookResult)
    await asyncio.to_thread(rules.looks.seen, node, result)
