"""Leaderboards: which there are, and who leads."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from renown.api.answers import leaderboards
from renown.api.answers.answer import Answer
from renown.api.cache.dear import NETWORK_SECONDS
from renown.api.deps import (
    ChainParam,
    CursorParam,
    LimitParam,
    NoPastParam,
    common,
    desk_of,
    position,
    present_only,
    with_cursor,
)
from renown.api.openapi import answers
from renown.api.routing import StrictRoute
from renown.errors import BadCursor, BadParameter, ChainNotFound, PastNotServed
from renown.store.leaderboards import Kind

router = APIRouter(route_class=StrictRoute, tags=["leaderboards"])
NOT_KEPT = "no-store"


@router.get(
    "/v1/leaderboards",
    responses=answers(leaderboards.Leaderboards, PastNotServed, not_modified=False),
)
async def list_leaderboards(request: Request, at: NoPastParam = None) -> Response:
    """The leaderboards there are, what each is ranked by, and how old it is."""
    present_only(at)
    desk = desk_of(request)

    async def read() -> Answer[leaderboards.Leaderboards]:
        async with desk.reading_public() as conn:
            return await leaderboards.kinds(conn)

    return await desk.dear.answer(
        request, read, ttl_seconds=NETWORK_SECONDS, cache=NOT_KEPT, tagged=False
    )


@router.get(
    "/v1/leaderboards/{kind}",
    responses=answers(
        leaderboards.PlacesPage, BadCursor, BadParameter, ChainNotFound, PastNotServed
    ),
)
async def list_places(
    request: Request,
    kind: Annotated[
        Kind,
        Path(
            description="`clients`: by distinct clients. `paid`: by distinct payers. `newest`: by"
            " time of registration. `busiest`: by events of 30 days."
        ),
    ],
    chain: ChainParam = None,
    testnets: Annotated[
        bool, Query(description="Test networks instead of main networks, which are never mixed.")
    ] = False,
    limit: LimitParam = 25,
    cursor: CursorParam = None,
    at: NoPastParam = None,
) -> Response:
    """The first thousand agents by one number, of a chain or of all main networks, as counted last.

    Counts are not quality: whoever pays for gas can make clients, payers and events.
    """
    present_only(at)
    if testnets and chain is not None:
        raise BadParameter("`testnets` is for all of them: leave out `chain`", parameter="testnets")
    start, desk = position(request, cursor), desk_of(request)

    async def read() -> Answer[leaderboards.PlacesPage]:
        async with desk.reading_public() as conn:
            found = await leaderboards.places(
                conn,
                kind,
                tokens=desk.tokens,
                chain_id=await desk.chain_id(conn, chain),
                testnets=testnets,
                after=start,
                limit=limit,
            )
        return with_cursor(request, found)

    return await desk.dear.answer(request, read, ttl_seconds=NETWORK_SECONDS, cache=common(desk))
