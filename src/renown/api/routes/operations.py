"""What watches the process: alive, ready, measured."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from renown.api.access.principal import OPEN, wants
from renown.api.deps import desk_of
from renown.obs import metrics
from renown.store.migrate import require_current

router = APIRouter(include_in_schema=False)
_UNKEPT = {"Cache-Control": "no-store"}


@router.get("/healthz")
@wants(OPEN)
async def alive() -> Response:
    """The process answers. Says nothing about the database: restarting would not mend that."""
    return PlainTextResponse("alive\n", headers=_UNKEPT)


@router.get("/readyz")
@wants(OPEN)
async def ready(request: Request) -> Response:
    """The database answers and has the schema that this version needs; a problem otherwise."""
    async with desk_of(request).reading() as conn:
        await require_current(conn)
    return PlainTextResponse("ready\n", headers=_UNKEPT)


@router.get("/metrics")
@wants(OPEN)
async def measured(request: Request) -> Response:
    """Prometheus's text format. Keep it from the public at the proxy if it should not see it."""
    pool = desk_of(request).pool
    if pool is not None:
        metrics.POOL_CONNECTIONS.labels("idle").set(pool.idle)
        metrics.POOL_CONNECTIONS.labels("busy").set(pool.size - pool.idle)
    return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE, headers=_UNKEPT)
