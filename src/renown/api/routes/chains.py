"""Chains and how they stand, counts, the outbox and the quarantine."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from renown.api.answers import chains, stream
from renown.api.answers.answer import Answer
from renown.api.cache.dear import NETWORK_SECONDS, STATUS_SECONDS
from renown.api.deps import (
    AddressParam,
    ChainNeeded,
    ChainParam,
    CursorParam,
    LimitParam,
    NoPastParam,
    address_param,
    common,
    desk_of,
    page_reply,
    position,
    present_only,
)
from renown.api.openapi import answers
from renown.api.replies import reply
from renown.api.routing import StrictRoute
from renown.errors import BadAddress, BadCursor, ChainNotFound, PastNotServed
from renown.types import MAX_BIGINT

router = APIRouter(route_class=StrictRoute, tags=["chains"])
NOT_KEPT = "no-store"


@router.get("/v1/chains", responses=answers(chains.Chains, PastNotServed))
async def list_chains(request: Request, at: NoPastParam = None) -> Response:
    """The chains of this index and their registries."""
    present_only(at)
    async with desk_of(request).reading_public() as conn:
        answer = await chains.chains(conn)
    return reply(request, answer)


@router.get("/v1/chains/{chain}", responses=answers(chains.Chain, ChainNotFound, PastNotServed))
async def get_chain(
    request: Request,
    chain: Annotated[str, Path(max_length=64, description="Its id or its short name.")],
    at: NoPastParam = None,
) -> Response:
    """One chain and its registries."""
    present_only(at)
    async with desk_of(request).reading_public() as conn:
        answer = await chains.chain(conn, chain)
    return reply(request, answer)


@router.get("/v1/status", responses=answers(chains.Status, PastNotServed, not_modified=False))
async def get_status(request: Request, at: NoPastParam = None) -> Response:
    """How the indexing of each chain stands, how complete it is, and whether somebody writes it."""
    present_only(at)
    desk = desk_of(request)

    async def read() -> Answer[chains.Status]:
        async with desk.reading_public() as conn:
            return await chains.status(conn)

    return await desk.dear.answer(
        request, read, ttl_seconds=STATUS_SECONDS, cache=NOT_KEPT, tagged=False
    )


@router.get("/v1/network", responses=answers(chains.Network, PastNotServed))
async def get_network(request: Request, at: NoPastParam = None) -> Response:
    """Counts per chain. They are kept and counted again on a schedule: see their age."""
    present_only(at)
    desk = desk_of(request)

    async def read() -> Answer[chains.Network]:
        async with desk.reading_public() as conn:
            return await chains.network(conn)

    return await desk.dear.answer(request, read, ttl_seconds=NETWORK_SECONDS, cache=common(desk))


@router.get("/v1/outbox", responses=answers(stream.OutboxPage, ChainNotFound, PastNotServed))
async def list_outbox(
    request: Request,
    chain: ChainNeeded,
    after: Annotated[
        int, Query(ge=0, le=MAX_BIGINT, description="Entries after this position; 0 for all.")
    ] = 0,
    limit: LimitParam = 100,
    at: NoPastParam = None,
) -> Response:
    """Every commit and every retraction of a chain, in order, for those who replay the index.

    The next page begins after the last position of this one.
    """
    present_only(at)
    desk = desk_of(request)
    async with desk.reading_public() as conn:
        chain_id = await desk.chain_id(conn, chain)
        assert chain_id is not None
        answer = await stream.outbox(conn, chain_id, after=after, limit=limit)
    return reply(request, answer)


@router.get(
    "/v1/quarantine",
    responses=answers(stream.QuarantinePage, BadAddress, BadCursor, ChainNotFound, PastNotServed),
)
async def list_quarantine(
    request: Request,
    chain: ChainParam = None,
    reason: Annotated[
        str | None, Query(max_length=64, pattern="^[a-z-]+$", description="Only this reason.")
    ] = None,
    contract: AddressParam = None,
    limit: LimitParam = 50,
    cursor: CursorParam = None,
    at: NoPastParam = None,
) -> Response:
    """Logs kept with their bytes because they cannot be facts."""
    present_only(at)
    start, of = position(request, cursor), address_param(contract)
    desk = desk_of(request)
    async with desk.reading_public() as conn:
        answer = await stream.quarantine(
            conn,
            chain_id=await desk.chain_id(conn, chain),
            reason=reason,
            contract=of,
            after=start,
            limit=limit,
        )
    return page_reply(request, answer)
