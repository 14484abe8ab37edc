"""The pages: home, one agent, the API's documentation, what an error means."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access.principal import OPEN, wants
from renown.api.answers import (
    agents,
    chains,
    documents,
    endpoints,
    feedback,
    history,
    metadata,
    payments,
    registration,
    reputation,
    validations,
)
from renown.api.deps import desk_of, position
from renown.api.problems import slugs
from renown.api.routing import GatedRoute
from renown.api.web.page import render
from renown.errors import NotFound, RenownError, RouteNotFound
from renown.store.feedback import Filter
from renown.store.pool import Conn, transaction
from renown.types import AgentKey, parse_agent_key

router = APIRouter(include_in_schema=False, route_class=GatedRoute)
NEWEST_AGENTS = 25
NEWEST_ROWS = 20
NEWEST_VERSIONS = 8
MOST_VERSIONS = 200
"""An agent whose file has more is not worth the reading for a page."""
EVERYTHING = Filter(revoked=True, superseded=True)


@router.get("/")
async def home(request: Request, cursor: str | None = None) -> Response:
    """Chains, how they stand, and the newest agents."""
    start = position(request, cursor)
    desk = desk_of(request)
    async with desk.reading_public() as conn, transaction(conn, "repeatable_read"):
        status = (await chains.status(conn)).body
        counts = (await chains.network(conn)).body
        newest = await agents.agents(conn, after=start, limit=NEWEST_AGENTS)
    return render(
        "home.html",
        chains=status.items,
        counts={item.chain_id: item for item in counts.items},
        counted_at=counts.counted_at,
        slugs={chain.chain_id: chain.slug for chain in status.items},
        agents=newest.body.items,
        older=desk.cursors.write(newest.after, "/?") if newest.after else None,
        first=start is None,
    )


@router.get("/agents/{key}")
async def agent_page(request: Request, key: str) -> Response:
    """One agent: what it is, what was said about it, and what happened to it."""
    wanted = parse_agent_key(key)
    async with desk_of(request).reading_public() as conn, transaction(conn, "repeatable_read"):
        one = (await agents.agent(conn, wanted)).body
        file = (await registration.of_agent(conn, wanted)).body
        services = await endpoints.of_agent(conn, wanted, limit=NEWEST_ROWS)
        versions = await documents.numbered(conn, wanted, most=MOST_VERSIONS)
        too_many = len(versions) == MOST_VERSIONS
        last_change = None
        if 1 < len(versions) < MOST_VERSIONS:
            last_change = await _last_change(conn, wanted)
        entries = await metadata.of_agent(conn, wanted, limit=NEWEST_ROWS)
        tags = await reputation.of_agent(conn, wanted, limit=NEWEST_ROWS)
        given = await feedback.of_agent(conn, wanted, EVERYTHING, limit=NEWEST_ROWS)
        paid = await payments.of_agent(
            conn, wanted, tokens=desk_of(request).tokens, limit=NEWEST_ROWS
        )
        asked = await validations.of_agent(conn, wanted, limit=NEWEST_ROWS)
        events = await history.of_agent(conn, wanted, order="newest", limit=NEWEST_ROWS)
        chain = (await chains.chain(conn, str(one.chain_id))).body
    return render(
        "agent.html",
        agent=one,
        chain=chain,
        file=file,
        said_file=file.registration or None,
        services=services.body.items,
        more_services=services.after is not None,
        domains=services.body.domains,
        versions=[] if too_many else versions[: -NEWEST_VERSIONS - 1 : -1],
        too_many_versions=too_many,
        last_change=last_change,
        metadata=entries.body.items,
        more_metadata=entries.after is not None,
        tags=sorted(tags.body.tags, key=lambda tag: -tag.live),
        more_tags=tags.after is not None,
        feedback=given.body.items,
        more_feedback=given.after is not None,
        payments=paid.body.items,
        more_payments=paid.after is not None,
        validations=asked.body.items,
        history=events.body.items,
        more_history=events.after is not None,
    )


@router.get("/docs")
@wants(OPEN)
async def docs(request: Request) -> Response:
    """The API's documentation, made from its OpenAPI document."""
    document: dict[str, Any] = request.app.openapi()
    families: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            family = operation.get("tags", ["other"])[0]
            families.setdefault(family, []).append(
                {"path": path, "method": method.upper(), **operation}
            )
    return render("docs.html", families=families, info=document["info"])


@router.get("/problems/{slug}")
@wants(OPEN)
async def problem(slug: str) -> Response:
    """What an error means."""
    for kind in slugs():
        if kind.slug == slug:
            return render("problem.html", kind=kind, above=_above(kind))
    raise RouteNotFound("there is no error of this name; see /docs")


async def _last_change(conn: Conn, key: AgentKey) -> documents.DocumentDiff | None:
    try:
        return (await documents.compare(conn, key)).body
    except NotFound:
        return None


def _above(kind: type[RenownError]) -> list[type[RenownError]]:
    return [k for k in kind.__mro__[1:] if issubclass(k, RenownError) and k is not RenownError]
