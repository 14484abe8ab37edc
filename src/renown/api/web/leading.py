"""The page of leaderboards."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from renown.api.answers import chains, leaderboards
from renown.api.answers.leaderboards import RANKED_BY
from renown.api.deps import desk_of
from renown.api.routing import GatedRoute
from renown.api.web.page import render
from renown.store.leaderboards import KINDS, Kind
from renown.store.pool import transaction

router = APIRouter(include_in_schema=False, route_class=GatedRoute)
SHOWN = 25
_HEADINGS: dict[Kind, str] = {
    "clients": "Most clients",
    "paid": "Most payers",
    "newest": "Newest",
    "busiest": "Busiest",
}


@router.get("/leaderboards")
async def all_leaderboards(
    request: Request,
    chain: Annotated[str | None, Query(max_length=64)] = None,
    testnets: bool = False,
) -> Response:
    """The first of every leaderboard, of a chain or of all main networks."""
    desk = desk_of(request)
    async with desk.reading_public() as conn, transaction(conn, "repeatable_read"):
        listed = (await chains.chains(conn)).body.items
        chain_id = None if not chain else await chains.chain_id(conn, chain)
        boards = {
            kind: (
                await leaderboards.places(
                    *(conn, kind),
                    tokens=desk.tokens,
                    chain_id=chain_id,
                    testnets=testnets,
                    limit=SHOWN,
                )
            ).body
            for kind in KINDS
        }
    return render(
        "leaderboards.html",
        boards=boards,
        headings=_HEADINGS,
        ranked_by=RANKED_BY,
        chains=listed,
        chosen=chain_id,
        testnets=testnets,
        slugs={one.chain_id: one.slug for one in listed},
    )
