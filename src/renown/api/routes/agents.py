"""Agents: one, many, and all that is said about one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from renown.api import etag
from renown.api.access.principal import PUBLIC_SEARCH, wants
from renown.api.answers import agents, history, metadata, reputation, search, validations
from renown.api.answers.answer import Answer, Version
from renown.api.answers.as_of import parse_at
from renown.api.answers.history import Order
from renown.api.answers.reputation import MOST_CLIENTS
from renown.api.cache.dear import FACETS_SECONDS, SEARCH_SECONDS
from renown.api.deps import (
    AtParam,
    CursorParam,
    KeyParam,
    LimitParam,
    TagParam,
    address_param,
    addresses_param,
    desk_of,
    page_reply,
    position,
    present_only,
    tag_param,
    with_cursor,
)
from renown.api.headers import OF_AN_ANSWER, TO_BE_SAVED
from renown.api.openapi import answers, problem_answers
from renown.api.replies import REVALIDATE, as_of_header
from renown.api.routing import StrictRoute
from renown.api.search_params import is_search, one_value, parse_search, takes_search
from renown.errors import (
    AgentNotFound,
    BadAddress,
    BadAgentKey,
    BadCursor,
    BadParameter,
    BlockBeyondHead,
    ChainNotFound,
    NotFound,
    PastNotServed,
    StoreError,
)
from renown.store.reads import place_of
from renown.types import parse_agent_key

router = APIRouter(route_class=StrictRoute, tags=["agents"])
OF_AGENT = (BadAgentKey, BlockBeyondHead, AgentNotFound, ChainNotFound)


@router.get("/v1/agents/{key}", responses=answers(agents.Agent, *OF_AGENT))
async def get_agent(
    request: Request,
    key: KeyParam,
    at: AtParam = None,
    full: Annotated[bool, Query(description="The URI whole, however long.")] = False,
) -> Response:
    """One agent: who owns it, what it says of itself on chain, how often it was rated."""
    wanted, moment = parse_agent_key(key), parse_at(at)
    desk, place = desk_of(request), place_of(wanted)

    async def read() -> Answer[agents.Agent]:
        if place is not None and moment is None and not full:
            return agents.answer_of(wanted, await desk.crossings.agents.read(place))
        async with desk.reading() as conn:
            return await agents.agent(conn, wanted, at=moment, full=full)

    async def version() -> Version | None:
        if place is not None:
            return agents.version_of(wanted, await desk.crossings.versions.read(place))
        async with desk.reading() as conn:
            return await agents.version(conn, wanted)

    return await desk.kept.answer(request, read, version, keep=moment is None)


@router.get(
    "/v1/agents",
    responses=answers(
        agents.AgentPage,
        *(BadAddress, BadCursor, ChainNotFound, BlockBeyondHead, PastNotServed),
    ),
)
@wants(PUBLIC_SEARCH)
@takes_search
async def list_agents(request: Request, **asked: Any) -> Response:
    """Agents: all or those of one chain, newest first; those of one owner, by chain and then
    newest first; or those that a search finds.

    Anything but `chain`, `owner`, `at`, `limit` and `cursor` makes it a search, and so does a
    `chain` or `owner` of several values. A search is of the present only.
    """
    start, desk, limit = position(request, asked["cursor"]), desk_of(request), asked["limit"]
    if is_search(asked):
        present_only(asked["at"])
        wanted = parse_search(asked)

        async def read() -> Answer[agents.AgentPage]:
            async with desk.reading_public() as conn:
                found = await search.agents(conn, desk.plans, wanted, after=start, limit=limit)
            return with_cursor(request, found)

        ttl_seconds = FACETS_SECONDS if wanted.facets else SEARCH_SECONDS
        return await desk.dear.answer(request, read, ttl_seconds=ttl_seconds)
    moment, by = parse_at(asked["at"]), address_param(one_value(asked["owner"]))
    async with desk.reading_public() as conn:
        answer = await agents.agents(
            conn,
            chain_id=await desk.chain_id(conn, one_value(asked["chain"])),
            owner=by,
            at=moment,
            hidden_too=asked["include_hidden"],
            after=start,
            limit=limit,
        )
    return page_reply(request, answer)


@router.get(
    "/v1/agents/{key}/uri",
    response_class=Response,
    responses={
        200: {
            "description": "The bytes, as the registry has them.",
            "headers": {**OF_AN_ANSWER, **TO_BE_SAVED},
            "content": {"application/octet-stream": {"schema": {"type": "string"}}},
        },
        304: {"description": "You have it already.", "headers": OF_AN_ANSWER},
        **problem_answers(BadParameter, *OF_AGENT, NotFound, StoreError),
    },
)
async def get_agent_uri(request: Request, key: KeyParam, at: AtParam = None) -> Response:
    """An agent's URI as its exact bytes, whatever they are; 404 if it never said one."""
    wanted, moment = parse_agent_key(key), parse_at(at)
    async with desk_of(request).reading_public() as conn:
        raw, block, version = await agents.uri(conn, wanted, at=moment)
    if raw is None:
        raise NotFound("this agent never said a URI")
    tag = etag.of_version(version)
    headers = {"ETag": tag, "Renown-As-Of": as_of_header([block]), "Cache-Control": REVALIDATE}
    known = request.headers.get("if-none-match")
    if known is not None and etag.matches(tag, known):
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = 'attachment; filename="uri"'
    return Response(raw, media_type="application/octet-stream", headers=headers)


@router.get(
    "/v1/agents/{key}/metadata", responses=answers(metadata.MetadataPage, *OF_AGENT, BadCursor)
)
async def get_agent_metadata(
    request: Request,
    key: KeyParam,
    at: AtParam = None,
    limit: LimitParam = 50,
    cursor: CursorParam = None,
) -> Response:
    """What the agent's manager set on chain, key by key. The wallet stands with the agent."""
    wanted, moment, start = parse_agent_key(key), parse_at(at), position(request, cursor)
    desk, place = desk_of(request), place_of(wanted)

    async def read() -> Answer[metadata.MetadataPage]:
        async with desk.reading() as conn:
            found = await metadata.of_agent(conn, wanted, at=moment, after=start, limit=limit)
        return with_cursor(request, found)

    async def version() -> Version | None:
        if place is not None:
            return agents.version_of_facts_of(wanted, await desk.crossings.versions.read(place))
        async with desk.reading() as conn:
            return await agents.version_of_facts(conn, wanted)

    return await desk.kept.answer(request, read, version, keep=moment is None and start is None)


@router.get(
    "/v1/agents/{key}/history", responses=answers(history.HistoryPage, *OF_AGENT, BadCursor)
)
async def get_agent_history(
    request: Request,
    key: KeyParam,
    order: Annotated[Order, Query(description="Which end to begin at.")] = "oldest",
    at: AtParam = None,
    limit: LimitParam = 50,
    cursor: CursorParam = None,
) -> Response:
    """Every event about the agent with its transaction, also those that changed nothing."""
    wanted, moment, start = parse_agent_key(key), parse_at(at), position(request, cursor)
    async with desk_of(request).reading_public() as conn:
        answer = await history.of_agent(
            conn, wanted, order=order, at=moment, after=start, limit=limit
        )
    return page_reply(request, answer)


@router.get(
    "/v1/agents/{key}/validations",
    responses=answers(validations.ValidationPage, *OF_AGENT, BadCursor),
)
async def get_agent_validations(
    request: Request,
    key: KeyParam,
    at: AtParam = None,
    limit: LimitParam = 50,
    cursor: CursorParam = None,
) -> Response:
    """Requests for validation and their latest answers, newest first. Experimental on chain."""
    wanted, moment, start = parse_agent_key(key), parse_at(at), position(request, cursor)
    async with desk_of(request).reading_public() as conn:
        answer = await validations.of_agent(conn, wanted, at=moment, after=start, limit=limit)
    return page_reply(request, answer)


@router.get(
    "/v1/agents/{key}/reputation",
    responses=answers(reputation.Reputation, *OF_AGENT, BadAddress, BadCursor),
)
async def get_agent_reputation(
    request: Request,
    key: KeyParam,
    clients: Annotated[
        str | None,
        Query(
            max_length=44 * MOST_CLIENTS,
            description=f"Up to {MOST_CLIENTS} addresses separated by commas: adds `summary`, what"
            " the registry's `getSummary` answers for them.",
        ),
    ] = None,
    tag1: TagParam = None,
    tag2: TagParam = None,
    at: AtParam = None,
    limit: LimitParam = 100,
    cursor: CursorParam = None,
) -> Response:
    """Counts and exact sums per pair of tags over all clients, and the contract's own summary.

    `tag1` and `tag2` filter the summary as on chain, where an empty one filters nothing.
    """
    wanted, moment, start = parse_agent_key(key), parse_at(at), position(request, cursor)
    asked = None
    if clients is not None:
        asked = reputation.Asked(
            addresses_param(clients, most=MOST_CLIENTS),
            tag_param(tag1) or b"",
            tag_param(tag2) or b"",
        )
    elif tag1 is not None or tag2 is not None:
        raise BadParameter("`tag1` and `tag2` filter the summary of `clients`", parameter="clients")
    desk, place = desk_of(request), place_of(wanted)

    async def read() -> Answer[reputation.Reputation]:
        if place is not None and keep:
            kept = await desk.crossings.reputations(limit + 1).read(place)
            return with_cursor(request, reputation.answer_of(wanted, kept, limit))
        async with desk.reading() as conn:
            found = await reputation.of_agent(
                conn, wanted, asked=asked, at=moment, after=start, limit=limit
            )
        return with_cursor(request, found)

    async def version() -> Version | None:
        if place is not None:
            return agents.version_of_facts_of(wanted, await desk.crossings.versions.read(place))
        async with desk.reading() as conn:
            return await agents.version_of_facts(conn, wanted)

    keep = moment is None and start is None and asked is None
    return await desk.kept.answer(request, read, version, keep=keep)
