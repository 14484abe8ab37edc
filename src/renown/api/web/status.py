"""The page for whoever runs this installation: each part, each chain, and what is being done."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from renown.api.answers import chains
from renown.api.answers.chains import ChainStatus
from renown.api.deps import Desk, desk_of
from renown.api.routing import GatedRoute
from renown.api.web.page import render
from renown.errors import StoreError
from renown.obs import metrics

router = APIRouter(include_in_schema=False, route_class=GatedRoute)


@router.get("/status")
async def status_page(request: Request) -> Response:
    """How this installation is. It can be read while the database is away."""
    desk = desk_of(request)
    health = await desk.watch.health()
    parts = {name: check for name, check in health.checks.items() if ":" not in name}
    is_down = health.status == "down"
    return render(
        "status.html",
        status=503 if is_down else 200,
        headers={"Cache-Control": "no-store"},
        health=health,
        parts=parts,
        chains=[] if is_down else await _chains(desk),
        work=_work(desk),
    )


async def _chains(desk: Desk) -> list[ChainStatus]:
    try:
        async with desk.reading() as conn:
            return (await chains.status(conn)).body.items
    except StoreError:  # gone since it was looked at
        return []


def _work(desk: Desk) -> dict[str, str]:
    """What this process does now, in words and numbers."""
    work = {
        "Requests being answered": _count("renown_http_in_flight"),
        "Answers kept": _count("renown_cache_entries"),
        "Audit entries that could not be written": _count("renown_audit_unwritten_total"),
    }
    pools = [desk.pool, None if desk.replica is None else desk.replica.pool]
    for pool in pools:
        if pool is not None:
            has = pool.stats()
            work[f"Connections to the {pool.name}"] = (
                f"{has.busy} busy, {has.idle} idle, {has.limit} at most"
            )
            work[f"Requests that wait for one of the {pool.name}"] = f"{has.waiters}"
    return work


def _count(name: str) -> str:
    value = metrics.REGISTRY.get_sample_value(name)
    return "–" if value is None else f"{value:,.0f}".replace(",", "\u202f")
