"""This installation's marks: set by operators, seen by all."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access.principal import Access, own_account, require_operator, wants
from renown.api.acting.described import OF_A_BODY
from renown.api.answers import marks as shown
from renown.api.bodies import raw_body, read_body, takes
from renown.api.deps import ClientParam, IndexParam, KeyParam, desk_of
from renown.api.openapi import own_answers
from renown.api.replies import JSON, nothing_left, own_reply
from renown.api.routing import StrictRoute
from renown.errors import (
    AgentNotFound,
    BadAddress,
    BadAgentKey,
    ChainNotFound,
    FeedbackNotFound,
    NotFound,
    NotOperator,
)
from renown.store.agents import AgentRow
from renown.store.marks import Mark, Place, remove_mark, set_mark
from renown.types import parse_address, parse_agent_key

router = APIRouter(route_class=StrictRoute, tags=["marks"])
MARK = Access("write", "write")
OF_AGENT = (BadAgentKey, AgentNotFound, ChainNotFound)
OF_FEEDBACK = (*OF_AGENT, BadAddress, FeedbackNotFound)
_BODY = takes(shown.MarkAsked, required=False)

MarkParam = Annotated[Mark, Path(description="Which mark.")]


@router.get("/v1/agents/{key}/marks", responses=own_answers(shown.Marks, *OF_AGENT))
async def list_marks(request: Request, key: KeyParam) -> Response:
    """This installation's own marks on an agent and on feedback about it."""
    wanted = parse_agent_key(key)
    async with desk_of(request).reading() as conn:
        body = await shown.of_agent(conn, await shown.agent_of(conn, wanted))
    headers = {"Cache-Control": "public, no-cache"}
    return Response(msgspec.json.encode(body), media_type=JSON, headers=headers)


@router.put(
    "/v1/agents/{key}/marks/{mark}",
    responses=own_answers(shown.Marks, *OF_A_BODY, *OF_AGENT, NotOperator),
    openapi_extra=_BODY,
)
@wants(MARK)
async def mark_agent(request: Request, key: KeyParam, mark: MarkParam) -> Response:
    """Mark an agent, or give the mark it has another note. For operators."""
    return await _set(request, key, mark)


@router.delete(
    "/v1/agents/{key}/marks/{mark}",
    status_code=204,
    responses=own_answers(None, *OF_AGENT, NotFound, NotOperator),
)
@wants(MARK)
async def unmark_agent(request: Request, key: KeyParam, mark: MarkParam) -> Response:
    """Take a mark back from an agent. For operators."""
    return await _remove(request, key, mark)


@router.put(
    "/v1/agents/{key}/feedback/{client}/{index}/marks/{mark}",
    responses=own_answers(shown.Marks, *OF_A_BODY, *OF_FEEDBACK, NotOperator),
    openapi_extra=_BODY,
)
@wants(MARK)
async def mark_feedback(
    request: Request, key: KeyParam, client: ClientParam, index: IndexParam, mark: MarkParam
) -> Response:
    """Mark one feedback, or give the mark it has another note. For operators."""
    return await _set(request, key, mark, client, index)


@router.delete(
    "/v1/agents/{key}/feedback/{client}/{index}/marks/{mark}",
    status_code=204,
    responses=own_answers(None, *OF_FEEDBACK, NotFound, NotOperator),
)
@wants(MARK)
async def unmark_feedback(
    request: Request, key: KeyParam, client: ClientParam, index: IndexParam, mark: MarkParam
) -> Response:
    """Take a mark back from one feedback. For operators."""
    return await _remove(request, key, mark, client, index)


async def _set(
    request: Request, key: str, mark: Mark, client: str | None = None, index: int | None = None
) -> Response:
    require_operator(request)
    wanted, giver = parse_agent_key(key), _giver(client)
    empty = not await raw_body(request)
    asked = shown.MarkAsked() if empty else await read_body(request, shown.MarkAsked)
    async with desk_of(request).writing() as tx:
        agent = await shown.agent_of(tx, wanted)
        place = _place(agent, giver, index)
        await set_mark(tx, place, mark, note=asked.note, account_id=own_account(request))
        body = await shown.of_agent(tx, agent)
    return own_reply(body)


async def _remove(
    request: Request, key: str, mark: Mark, client: str | None = None, index: int | None = None
) -> Response:
    require_operator(request)
    wanted, giver = parse_agent_key(key), _giver(client)
    async with desk_of(request).writing() as tx:
        agent = await shown.agent_of(tx, wanted)
        await remove_mark(tx, _place(agent, giver, index), mark)
    return nothing_left()


def _giver(client: str | None) -> bytes | None:
    return None if client is None else parse_address(client)


def _place(agent: AgentRow, client: bytes | None, index: int | None) -> Place:
    return Place(
        chain_id=agent.chain_id, agent_id=agent.agent_id, client=client, feedback_index=index
    )
