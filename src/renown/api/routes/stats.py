"""The numbers of one agent."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from renown.api.answers import stats
from renown.api.answers.answer import Answer
from renown.api.deps import KeyParam, desk_of
from renown.api.openapi import answers
from renown.api.routing import StrictRoute
from renown.errors import AgentNotFound, BadAgentKey, ChainNotFound
from renown.types import parse_agent_key

router = APIRouter(route_class=StrictRoute, tags=["agents"])


@router.get(
    "/v1/agents/{key}/stats",
    responses=answers(stats.AgentStats, BadAgentKey, AgentNotFound, ChainNotFound),
)
async def get_stats(request: Request, key: KeyParam) -> Response:
    """All that can be counted about an agent: identity, feedback, payments, validations, trust."""
    wanted, desk = parse_agent_key(key), desk_of(request)

    async def read() -> Answer[stats.AgentStats]:
        async with desk.reading() as conn:
            return await stats.of_agent(conn, wanted, tokens=desk.tokens)

    return await desk.kept.answer(request, read)
