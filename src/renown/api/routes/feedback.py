"""Feedback: about one agent, by one reviewer, under one tag, and what was answered to it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from renown.api.answers import feedback
from renown.api.answers.as_of import parse_at
from renown.api.deps import (
    AddressParam,
    AtParam,
    ChainParam,
    ClientParam,
    CursorParam,
    IndexParam,
    KeyParam,
    LimitParam,
    TagParam,
    address_param,
    desk_of,
    page_reply,
    position,
    tag_param,
)
from renown.api.openapi import answers
from renown.api.replies import reply
from renown.api.routes.agents import OF_AGENT
from renown.api.routing import StrictRoute
from renown.errors import BadAddress, BadCursor, BlockBeyondHead, ChainNotFound, NotFound
from renown.store.feedback import Filter
from renown.types import parse_address, parse_agent_key

router = APIRouter(route_class=StrictRoute, tags=["feedback"])
RevokedParam = Annotated[bool, Query(description="Revoked feedback too.")]
SupersededParam = Annotated[
    bool,
    Query(description="Feedback too that a registry which restarted its indexes gave again."),
]
PaidParam = Annotated[
    bool,
    Query(description="Only feedback whose file proves a payment that stands on the chain now."),
]


@router.get(
    "/v1/agents/{key}/feedback",
    responses=answers(feedback.FeedbackPage, *OF_AGENT, BadAddress, BadCursor),
)
async def list_agent_feedback(
    request: Request,
    key: KeyParam,
    client: AddressParam = None,
    tag1: TagParam = None,
    tag2: TagParam = None,
    include_revoked: RevokedParam = False,
    include_superseded: SupersededParam = False,
    paid: PaidParam = False,
    at: AtParam = None,
    limit: LimitParam = 50,
    cursor: CursorParam = None,
) -> Response:
    """Feedback about one agent, newest first."""
    wanted, moment, start = parse_agent_key(key), parse_at(at), position(request, cursor)
    only = Filter(
        address_param(client),
        tag_param(tag1),
        tag_param(tag2),
        include_revoked,
        include_superseded,
        paid,
    )
    async with desk_of(request).reading_public() as conn:
        answer = await feedback.of_agent(conn, wanted, only, at=moment, after=start, limit=limit)
    return page_reply(request, answer)


@router.get(
    "/v1/agents/{key}/feedback/{client}/{index}",
    responses=answers(feedback.FeedbackRecords, *OF_AGENT, BadAddress, NotFound),
)
async def get_feedback(
    request: Request, key: KeyParam, client: ClientParam, index: IndexParam, at: AtParam = None
) -> Response:
    """One feedback with its strings whole, revoked or not; several where a registry restarted."""
    wanted, by, moment = parse_agent_key(key), parse_address(client), parse_at(at)
    async with desk_of(request).reading_public() as conn:
        answer = await feedback.records(conn, wanted, by, index, at=moment)
    return reply(request, answer)


@router.get(
    "/v1/agents/{key}/feedback/{client}/{index}/responses",
    responses=answers(feedback.ResponsePage, *OF_AGENT, BadAddress, BadCursor, NotFound),
)
async def list_responses(
    request: Request,
    key: KeyParam,
    client: ClientParam,
    index: IndexParam,
    at: AtParam = None,
    limit: LimitParam = 50,
    cursor: CursorParam = None,
) -> Response:
    """Responses to one feedback, oldest first."""
    wanted, by, moment = parse_agent_key(key), parse_address(client), parse_at(at)
    start = position(request, cursor)
    async with desk_of(request).reading_public() as conn:
        answer = await feedback.responses(
            conn, wanted, by, index, at=moment, after=start, limit=limit
        )
    return page_reply(request, answer)


@router.get(
    "/v1/feedback",
    responses=answers(
        feedback.SaidFeedbackPage, BadAddress, BadCursor, ChainNotFound, BlockBeyondHead
    ),
)
async def list_feedback(
    request: Request,
    client: AddressParam = None,
    tag1: TagParam = None,
    tag2: TagParam = None,
    chain: ChainParam = None,
    include_revoked: RevokedParam = False,
    include_superseded: SupersededParam = False,
    at: AtParam = None,
    limit: LimitParam = 50,
    cursor: CursorParam = None,
) -> Response:
    """Feedback about any agents: what else a reviewer said, what else has a tag.

    By chain, highest id first, then newest first.
    """
    moment, start = parse_at(at), position(request, cursor)
    only = Filter(
        address_param(client),
        tag_param(tag1),
        tag_param(tag2),
        include_revoked,
        include_superseded,
    )
    desk = desk_of(request)
    async with desk.reading_public() as conn:
        answer = await feedback.across(
            conn,
            only,
            chain_id=await desk.chain_id(conn, chain),
            at=moment,
            after=start,
            limit=limit,
        )
    return page_reply(request, answer)
