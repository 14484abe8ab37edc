"""The page that agents are searched on. It takes what `GET /v1/agents` takes, and works by links
and one form, without scripts."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from renown.api.access.principal import PUBLIC_SEARCH, wants
from renown.api.answers import agents, chains, search
from renown.api.deps import desk_of, next_cursor, position, present_only
from renown.api.routing import StrictRoute
from renown.api.search_params import SORTS, parse_search, takes_search
from renown.api.web.page import render
from renown.derive.filters import VOCABULARIES
from renown.derive.terms import TERM_KINDS
from renown.errors import BadAgentKey
from renown.types import AgentKey, parse_agent_key

ROWS = 25
FACETS = ("chain", "kind", "state", "alive", "verified", "x402", "trust")
CHOICES = {kind: VOCABULARIES[kind] for kind in ("kind", "state", "alive", "verified", "x402")}
"""The conditions that the form offers; others come by links and stay."""

Pairs = list[tuple[str, str]]


class FormRoute(StrictRoute):
    """A StrictRoute for a form: fields left empty, which browsers send too, are taken out of the
    address first."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        strict = super().get_route_handler()

        async def filled(request: Request) -> Response:
            given = request.query_params.multi_items()
            kept = [(name, text) for name, text in given if text.strip()]
            if len(kept) < len(given):
                return RedirectResponse(_address(kept), status_code=303)
            return await strict(request)

        self.answer = filled
        return filled


router = APIRouter(include_in_schema=False, route_class=FormRoute)


@router.get("/agents")
@wants(PUBLIC_SEARCH)
@takes_search
async def find_agents(request: Request, **asked: Any) -> Response:
    """Agents by their words and by conditions; an agent's key leads to its page at once."""
    present_only(asked["at"])
    desk = desk_of(request)
    if (key := _key(asked["q"])) is not None:
        async with desk.reading_public() as conn:
            found = (await agents.agent(conn, key)).body
        return RedirectResponse(f"/agents/{found.key}", status_code=303)
    start = position(request, asked["cursor"])
    if start is None:
        asked["facets"] = asked["facets"] or ",".join(FACETS)
    wanted = parse_search(asked)
    async with desk.reading_public() as conn:
        answer = await search.agents(conn, desk.plans, wanted, after=start, limit=ROWS)
        known = (await chains.chains(conn)).body.items
    given = [pair for pair in request.query_params.multi_items() if pair[0] != "cursor"]
    cursor = next_cursor(request, answer.after)
    return render(
        "search.html",
        q=asked["q"] or "",
        agents=answer.body.items,
        search=answer.body.search,
        choices=CHOICES,
        chosen={name: text for name, text in given if name in CHOICES},
        kept=[pair for pair in given if pair[0] not in (*CHOICES, "q", "sort")],
        sorts=SORTS,
        sort=wanted.order,
        conditions=[(*pair, _address(_without(given, pair))) for pair in given if _narrows(pair)],
        narrower=lambda name, value: _address([*given, (name, value)]),
        given=given,
        slugs={str(one.chain_id): one.slug for one in known},
        following=_address([*given, ("cursor", cursor)]) if cursor else None,
        first=start is None,
        top=_address(given),
    )


def _key(q: str | None) -> AgentKey | None:
    try:
        return parse_agent_key(q) if q else None
    except BadAgentKey:
        return None


def _narrows(pair: tuple[str, str]) -> bool:
    return pair[0] in TERM_KINDS or pair[0] in ("filter", "collapse", "tag1", "tag2")


def _without(given: Sequence[tuple[str, str]], pair: tuple[str, str]) -> Pairs:
    return [one for one in given if one != pair]


def _address(pairs: Sequence[tuple[str, str]]) -> str:
    return f"/agents?{urlencode(pairs, errors='replace')}" if pairs else "/agents"
